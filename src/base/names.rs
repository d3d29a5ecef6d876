//! Pod names and pod uids as keyed permutations, so that a million pods need no name map.
//!
//! A suffix is five characters of Kubernetes' alphabet: the Job's pod ordinal, permuted under the Job's uid. A pod's uid
//! is `(job, ordinal)` permuted under the store's key. Both can be inverted. Invariant: within one Job two ordinals
//! below [`NAMES_PER_PREFIX`] never share a suffix.

use super::{JobId, Uid, mix};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// kubernetes: apimachinery `rand.String`, the alphabet of generated names.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

/// Length of a generated suffix (kubernetes: `names.randomLength`).
pub const SUFFIX_LEN: usize = 5;

/// A generated name's prefix is cut to this many bytes (kubernetes: `names.MaxGeneratedNameLength`).
pub const PREFIX_MAX: usize = 58;

/// How many suffixes there are: 27^5. A Job can never have more pods than this.
pub const NAMES_PER_PREFIX: u32 = 14_348_907;

/// The order in which a Job's ordinals take suffixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodNames {
    key: u64,
}

/// Bits of one half of the Feistel network: 2 × 12 = 24 bits cover 27^5 with 14 % to spare, so a walk is 1.2 rounds long.
const HALF_BITS: u32 = 12;
const HALF_MASK: u32 = (1 << HALF_BITS) - 1;
const ROUNDS: u32 = 4;

impl PodNames {
    /// The names of the Job with this uid.
    #[must_use]
    pub fn new(job: Uid) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "both halves of the uid go into the key")]
        let key = mix((job.0 >> 64) as u64 ^ mix(job.0 as u64));
        Self { key }
    }

    fn round(self, round: u32, half: u32) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "masked to half a block")]
        let bits = mix(self.key ^ (u64::from(round) << 32) ^ u64::from(half)) as u32;
        bits & HALF_MASK
    }

    fn encrypt(self, value: u32) -> u32 {
        let (mut left, mut right) = (value >> HALF_BITS, value & HALF_MASK);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.round(round, right));
        }
        (left << HALF_BITS) | right
    }

    fn decrypt(self, value: u32) -> u32 {
        let (mut left, mut right) = (value >> HALF_BITS, value & HALF_MASK);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.round(round, left), left);
        }
        (left << HALF_BITS) | right
    }

    /// The suffix of `ordinal`, which must be below [`NAMES_PER_PREFIX`].
    #[must_use]
    pub fn suffix(self, ordinal: u32) -> [u8; SUFFIX_LEN] {
        assert!(ordinal < NAMES_PER_PREFIX, "ordinal {ordinal} has no name");
        let mut value = self.encrypt(ordinal);
        while value >= NAMES_PER_PREFIX {
            value = self.encrypt(value);
        }
        let mut text = [0; SUFFIX_LEN];
        for byte in text.iter_mut().rev() {
            *byte = ALPHABET[(value % 27) as usize];
            value /= 27;
        }
        text
    }

    /// The name of the pod with this ordinal.
    #[must_use]
    pub fn pod_name(self, job: &str, index: Option<u32>, ordinal: u32) -> String {
        let mut name = String::new();
        self.push_pod_name(&mut name, job, index, ordinal);
        name
    }

    /// Appends the name of the pod with this ordinal to `out`.
    pub fn push_pod_name(self, out: &mut String, job: &str, index: Option<u32>, ordinal: u32) {
        push_prefix(out, job, index);
        out.push_str(std::str::from_utf8(&self.suffix(ordinal)).expect("the alphabet is ASCII"));
    }

    /// The ordinal that has this suffix; `None` when it is no suffix.
    #[must_use]
    pub fn ordinal(self, suffix: &str) -> Option<u32> {
        if suffix.len() != SUFFIX_LEN {
            return None;
        }
        let mut value = 0_u32;
        for byte in suffix.bytes() {
            let digit = ALPHABET.iter().position(|&c| c == byte)?;
            value = value * 27 + u32::try_from(digit).ok()?;
        }
        let mut ordinal = self.decrypt(value);
        while ordinal >= NAMES_PER_PREFIX {
            ordinal = self.decrypt(ordinal);
        }
        Some(ordinal)
    }
}

/// The prefix of a pod's name, before the suffix (kubernetes: `podGenerateNameWithIndex`, `GenerateName`). For an Indexed
/// Job a long Job name is cut so that `-<index>-` survives.
#[must_use]
pub fn join_prefix(job: &str, index: Option<u32>) -> String {
    let mut prefix = String::new();
    push_prefix(&mut prefix, job, index);
    prefix
}

fn push_prefix(out: &mut String, job: &str, index: Option<u32>) {
    let cut = |max: usize| &job[..job.floor_char_boundary(max)];
    match index {
        None if job.len() < PREFIX_MAX => out.extend([job, "-"]),
        None => out.push_str(cut(PREFIX_MAX)),
        Some(index) => {
            let digits = index.checked_ilog10().map_or(1, |log| log as usize + 1);
            write!(out, "{}-{index}-", cut(PREFIX_MAX - digits - 2)).expect("a String takes everything");
        }
    }
}

/// `prefix` cut as Kubernetes cuts it, with the suffix of 5 characters that `draw` stands for.
#[must_use]
pub fn generated_name(prefix: &str, draw: u64) -> String {
    let mut name = prefix[..prefix.floor_char_boundary(PREFIX_MAX)].to_owned();
    let mut value = draw;
    for _ in 0..SUFFIX_LEN {
        name.push(ALPHABET[usize::try_from(value % 27).unwrap_or(0)] as char);
        value /= 27;
    }
    name
}

/// The store's secret for pod uids: drawn once when the store is made, kept in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UidKey(pub u64);

impl UidKey {
    fn round(self, round: u64, half: u32) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "half a block")]
        let bits = mix(self.0 ^ (round << 48) ^ u64::from(half)) as u32;
        bits
    }

    /// The uid of a pod: its serial permuted in the first 64 free bits, a check of it in the other 58.
    #[must_use]
    pub fn pod_uid(self, job: JobId, ordinal: u32) -> Uid {
        let (mut left, mut right) = (job.0, ordinal);
        for round in 0..4 {
            (left, right) = (right, left ^ self.round(round, right));
        }
        let block = (u64::from(left) << 32) | u64::from(right);
        let check = mix(block ^ self.0.rotate_left(17)) & ((1 << 58) - 1);
        // 48 bits, version, 12 bits, variant, 4 bits of the block, then the check.
        let bits = (u128::from(block >> 16) << 80)
            | (u128::from((block >> 4) & 0xfff) << 64)
            | (u128::from(block & 0xf) << 58)
            | u128::from(check);
        Uid::v4(bits)
    }

    /// The pod that has this uid; `None` when it is no pod's.
    #[cfg(test)]
    fn pod_of(self, uid: Uid) -> Option<(JobId, u32)> {
        let part = |shift: u32, bits: u32| (uid.0 >> shift) & ((1_u128 << bits) - 1);
        let block = u64::try_from((part(80, 48) << 16) | (part(64, 12) << 4) | part(58, 4)).ok()?;
        let (mut left, mut right) = (u32::try_from(block >> 32).ok()?, u32::try_from(block & 0xffff_ffff).ok()?);
        for round in (0..4).rev() {
            (left, right) = (right ^ self.round(round, left), left);
        }
        let (job, ordinal) = (JobId(left), right);
        (self.pod_uid(job, ordinal) == uid).then_some((job, ordinal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn suffixes_of_a_job_differ_and_read_back() {
        let names = PodNames::new(Uid(7));
        let mut seen = HashSet::new();
        for ordinal in (0..100_000).chain(NAMES_PER_PREFIX - 1000..NAMES_PER_PREFIX) {
            let suffix = String::from_utf8(names.suffix(ordinal).to_vec()).expect("ascii");
            assert_eq!(names.ordinal(&suffix), Some(ordinal));
            assert!(seen.insert(suffix), "ordinal {ordinal} repeats a suffix");
        }
    }

    #[test]
    fn two_jobs_take_suffixes_in_different_orders() {
        assert_ne!(PodNames::new(Uid(1)).suffix(0), PodNames::new(Uid(2)).suffix(0));
    }

    #[test]
    fn what_is_not_a_suffix_has_no_ordinal() {
        let names = PodNames::new(Uid(7));
        for text in ["", "bcdf", "bcdfgh", "aaaaa", "BCDFG", "é2222"] {
            assert_eq!(names.ordinal(text), None, "{text}");
        }
    }

    #[test]
    fn prefixes_are_cut_as_kubernetes_cuts_them() {
        let long = "a".repeat(63);
        assert_eq!(join_prefix("pi", None), "pi-");
        assert_eq!(join_prefix("pi", Some(12)), "pi-12-");
        assert_eq!(join_prefix(&long[..57], None), format!("{}-", "a".repeat(57)));
        for job in [&long[..58], &long] {
            assert_eq!(join_prefix(job, None), "a".repeat(58));
        }
        for (index, kept) in [(0, 55), (9, 55), (10, 54), (99, 54), (100, 53), (u32::MAX, 46)] {
            assert_eq!(join_prefix(&long, Some(index)), format!("{}-{index}-", "a".repeat(kept)));
        }
        assert_eq!(join_prefix(&long, Some(12)), format!("{}-12-", "a".repeat(54)));
    }

    #[test]
    fn a_pod_uid_is_a_version_4_uuid_that_leads_back_to_its_pod() {
        let key = UidKey(0x1234_5678_9abc_def0);
        for (job, ordinal) in [(0, 0), (1, 0), (0, 1), (u32::MAX, u32::MAX), (77, 123_456)] {
            let uid = key.pod_uid(JobId(job), ordinal);
            assert_eq!(Uid::parse(&uid.to_string()), Some(uid));
            assert_eq!(uid, Uid::v4(uid.0));
            assert_eq!(key.pod_of(uid), Some((JobId(job), ordinal)));
        }
        assert_eq!(key.pod_of(Uid::v4(42)), None);
        assert_eq!(UidKey(1).pod_of(key.pod_uid(JobId(1), 1)), None);
    }
}
