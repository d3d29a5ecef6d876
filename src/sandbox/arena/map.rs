//! What the arena asks of the kernel: mappings, guard pages, and which pages were written.
//!
//! Owns the system calls; knows nothing of slots beyond ranges of bytes. Invariant: every range is checked against its
//! mapping before the kernel or a write sees it.

use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::ptr::NonNull;
use std::sync::OnceLock;

/// Linux 6.13: pages that trap, without a mapping of their own.
const MADV_GUARD_INSTALL: libc::c_int = 102;

/// Size of a page of this system, bytes.
pub(super) fn page_bytes() -> usize {
    static PAGE_BYTES: OnceLock<usize> = OnceLock::new();
    *PAGE_BYTES.get_or_init(|| {
        // SAFETY: a question without arguments in memory.
        let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        usize::try_from(bytes).expect("a system has pages")
    })
}

/// Private zeros, readable and writable, of which only written pages take memory.
#[derive(Debug)]
pub(super) struct Map {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: it is address space, and what lies in it is read and written only by those who were given a range.
unsafe impl Send for Map {}
// SAFETY: as above; the methods that change contents are unsafe and say so.
unsafe impl Sync for Map {}

impl Map {
    /// Address space for `bytes`, which is not counted as memory before it is written (unless the system is told not to
    /// overcommit).
    pub(super) fn reserve(bytes: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping where the kernel wants it touches no other.
        let base = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast::<u8>()).expect("the kernel maps nothing at zero unless told to");
        let map = Self { base, bytes };
        // A huge page would give a pod 2 MiB for its first byte. Dumps of a crash would walk terabytes.
        for advice in [libc::MADV_NOHUGEPAGE, libc::MADV_DONTDUMP] {
            // SAFETY: the mapping is ours and whole, and neither changes what is in it. A kernel without huge pages refuses
            // the first, which is as good.
            unsafe { libc::madvise(map.base.as_ptr().cast(), bytes, advice) };
        }
        Ok(map)
    }

    /// The address of a byte.
    pub(super) fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.bytes, "an offset lies in its mapping");
        self.base.as_ptr().wrapping_add(offset)
    }

    fn start_of(&self, range: &Range<usize>) -> *mut u8 {
        assert!(range.start <= range.end && range.end <= self.bytes, "a range lies in its mapping");
        self.base.as_ptr().wrapping_add(range.start)
    }

    /// Writes zeros.
    ///
    /// # Safety
    /// Nobody else uses the range now, and no guard lies in it.
    pub(super) unsafe fn zero(&self, range: Range<usize>) {
        let start = self.start_of(&range);
        // SAFETY: the range lies in the mapping, which is writable; the caller answers for the rest.
        unsafe { start.write_bytes(0, range.len()) };
    }

    /// Gives whole pages back to the kernel, swapped ones as well: they read as zeros from here on.
    ///
    /// # Safety
    /// Nobody else uses the range now, and no guard lies in it.
    pub(super) unsafe fn discard(&self, range: Range<usize>) {
        let start = self.start_of(&range);
        if range.is_empty() {
            return;
        }
        // SAFETY: the range lies in a private anonymous mapping of ours; the caller answers for the rest.
        if unsafe { libc::madvise(start.cast(), range.len(), libc::MADV_DONTNEED) } != 0 {
            // The kernel refuses where pages are locked into memory (mlockall).
            // SAFETY: as the caller says.
            unsafe { self.zero(range) };
        }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours; everything that lies in it holds the arena, and with it this.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// How stacks get their guard pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guards {
    /// By a mark in the page table: Linux 6.13.
    Marked,
    /// By protection, which splits the mapping: two more of the mappings that a process may have (`vm.max_map_count`).
    Protected { slots_max: usize },
}

impl Guards {
    /// What this system offers.
    ///
    /// # Safety
    /// Nobody uses the first page of `stacks`.
    pub(super) unsafe fn probe(stacks: &Map) -> Self {
        // SAFETY: as the caller says.
        match unsafe { Self::Marked.install(stacks, 0..page_bytes()) } {
            Ok(()) => Self::Marked,
            Err(_) => Self::protected(),
        }
    }

    /// Half of the mappings that this process may have is for others: the large engine's pool, files, threads.
    pub(super) fn protected() -> Self {
        let text = fs::read_to_string("/proc/sys/vm/max_map_count").unwrap_or_default();
        let mappings_max = text.trim().parse::<usize>().unwrap_or(65_530);
        Self::Protected { slots_max: (mappings_max / 4).max(1) }
    }

    /// How many stacks can have one.
    pub(super) fn slots_max(self) -> usize {
        match self {
            Self::Marked => usize::MAX,
            Self::Protected { slots_max } => slots_max,
        }
    }

    /// Makes every access to a page of `stacks` end the process.
    ///
    /// # Safety
    /// Nobody uses the page.
    pub(super) unsafe fn install(self, stacks: &Map, page: Range<usize>) -> io::Result<()> {
        let (start, bytes) = (stacks.start_of(&page).cast(), page.len());
        // SAFETY: the page lies in a mapping of ours; the caller answers for the rest.
        let failed = unsafe {
            match self {
                Self::Marked => libc::madvise(start, bytes, MADV_GUARD_INSTALL),
                Self::Protected { .. } => libc::mprotect(start, bytes, libc::PROT_NONE),
            }
        };
        if failed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// The kernel's table of this process's pages, with PAGEMAP_SCAN: Linux 6.7.
#[derive(Debug)]
pub(super) struct PageMap(File);

/// `include/uapi/linux/fs.h`: `struct pm_scan_arg`.
#[repr(C)]
struct ScanArg {
    size: u64,
    flags: u64,
    start: u64,
    end: u64,
    walk_end: u64,
    vec: u64,
    vec_len: u64,
    max_pages: u64,
    category_inverted: u64,
    category_mask: u64,
    category_anyof_mask: u64,
    return_mask: u64,
}

const _: () = assert!(size_of::<ScanArg>() == 96, "the size is a part of the call's number");

/// `struct page_region`.
#[repr(C)]
#[derive(Clone, Copy)]
struct Region {
    start: u64,
    end: u64,
    categories: u64,
}

/// `_IOWR('f', 16, struct pm_scan_arg)`.
const PAGEMAP_SCAN: u64 = 0xc060_6610;
const PAGE_IS_PRESENT: u64 = 1 << 3;
const PAGE_IS_SWAPPED: u64 = 1 << 4;
const PAGE_IS_PFNZERO: u64 = 1 << 5;
/// Runs of written pages that one scan reports.
const REGIONS_MAX: usize = 32;

impl PageMap {
    /// `None` where the kernel has no PAGEMAP_SCAN, where it does not tell the truth about a page that was written, and on
    /// systems with swap, as for the large engine's pool.
    pub(super) fn open() -> Option<Self> {
        if crate::sandbox::engine::may_swap() {
            return None;
        }
        let pagemap = Self(File::open("/proc/self/pagemap").ok()?);
        pagemap.finds_a_written_page().then_some(pagemap)
    }

    fn finds_a_written_page(&self) -> bool {
        let page = page_bytes();
        let Ok(map) = Map::reserve(4 * page) else { return false };
        // SAFETY: the mapping was just made and is seen by nobody else.
        unsafe {
            map.at(2 * page).write_volatile(1);
            let rest = self.zero_written(&map, 0..4 * page, 4 * page);
            rest.is_empty() && map.at(2 * page).read_volatile() == 0
        }
    }

    /// Zeroes the pages of `range` that were written, up to `keep` bytes of them, and returns what is left to be discarded.
    ///
    /// # Safety
    /// Nobody else uses the range now, and no guard lies in it.
    pub(super) unsafe fn zero_written(&self, map: &Map, range: Range<usize>, keep: usize) -> Range<usize> {
        let mut regions = [MaybeUninit::<Region>::uninit(); REGIONS_MAX];
        let Ok((count, walked)) = self.scan(map, &range, keep, &mut regions) else { return range };
        let base = map.base.as_ptr().addr();
        for region in regions.iter().take(count) {
            // SAFETY: the kernel wrote the first `count` regions.
            let region = unsafe { region.assume_init() };
            let offset = |address: u64| usize::try_from(address).expect("a 64-bit system") - base;
            let written = offset(region.start)..offset(region.end);
            assert!(
                range.start <= written.start && written.end <= range.end,
                "the kernel reports what it was asked for"
            );
            // SAFETY: as the caller says.
            unsafe { map.zero(written) };
        }
        walked..range.end
    }

    /// How many regions there are, and up to where the kernel looked. A page that was written is there or swapped out, and
    /// is not the page of zeros that reading gives.
    fn scan(
        &self,
        map: &Map,
        range: &Range<usize>,
        keep: usize,
        regions: &mut [MaybeUninit<Region>],
    ) -> io::Result<(usize, usize)> {
        let wide = |n: usize| u64::try_from(n).expect("a 64-bit system");
        let start = map.start_of(range).addr();
        let mut arg = ScanArg {
            size: wide(size_of::<ScanArg>()),
            flags: 0,
            start: wide(start),
            end: wide(start + range.len()),
            walk_end: 0,
            vec: wide(regions.as_mut_ptr().expose_provenance()),
            vec_len: wide(regions.len()),
            max_pages: wide(keep / page_bytes()),
            category_inverted: PAGE_IS_PFNZERO,
            category_mask: PAGE_IS_PFNZERO,
            category_anyof_mask: PAGE_IS_PRESENT | PAGE_IS_SWAPPED,
            return_mask: 0,
        };
        // SAFETY: the kernel writes into `arg`, and into at the most `vec_len` regions.
        let count = unsafe { libc::ioctl(self.0.as_raw_fd(), PAGEMAP_SCAN as _, &raw mut arg) };
        let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        let walked = usize::try_from(arg.walk_end).expect("a 64-bit system") - start;
        Ok((count.min(regions.len()), range.start + walked))
    }
}
