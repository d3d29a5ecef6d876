//! Random bytes for guests, which may make keys of them.

use super::{Done, Failure, Fault, add, parts};
use crate::sandbox::pod::Guest;
use std::cell::RefCell;
use wasmtime::{Caller, Error};

/// The most bytes a call may ask for (wasmtime-wasi: `random::DEFAULT_MAX_SIZE`); more ends the guest.
const RANDOM_BYTES_MAX: u32 = 64 << 20;

/// After so many bytes a guest gives its worker a turn: the kernel makes them in less than a millisecond.
const TURN_BYTES: u32 = 64 << 10;

/// What is drawn from the kernel at a time for small requests. Measured: 1.1 µs for 16 bytes, 8.5 µs for 512.
const STOCK_BYTES: usize = 512;

/// Bytes of the kernel's generator that no guest has had.
struct Stock {
    bytes: [u8; STOCK_BYTES],
    left: usize,
}

thread_local! {
    static STOCK: RefCell<Stock> = const { RefCell::new(Stock { bytes: [0; STOCK_BYTES], left: 0 }) };
}

/// Fills `out` with bytes that were never handed out before and are forgotten here.
fn fill(out: &mut [u8]) -> Result<(), getrandom::Error> {
    if out.len() > STOCK_BYTES / 4 {
        return getrandom::fill(out);
    }
    STOCK.with_borrow_mut(|stock| {
        if stock.left < out.len() {
            getrandom::fill(&mut stock.bytes)?;
            stock.left = STOCK_BYTES;
        }
        let taken = &mut stock.bytes[stock.left - out.len()..stock.left];
        out.copy_from_slice(taken);
        taken.fill(0);
        stock.left -= out.len();
        Ok(())
    })
}

pub(super) async fn get(caller: &mut Caller<'_, Guest>, buffer: u32, len: u32) -> Done {
    if len > RANDOM_BYTES_MAX {
        return Err(Fault::TooLong(len, RANDOM_BYTES_MAX).into());
    }
    if len > 0 {
        parts(caller)?.0.range(buffer, len)?;
    }
    let mut done = 0;
    while done < len {
        let count = (len - done).min(TURN_BYTES);
        let (memory, _) = parts(caller)?;
        let range = memory.range(add(buffer, done)?, count)?;
        fill(&mut memory.0[range]).map_err(|error| Failure::Host(Error::new(error)))?;
        done += count;
        if done < len {
            tokio::task::yield_now().await;
        }
    }
    add(buffer, len)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn bytes_are_never_given_twice() {
        let mut seen = HashSet::new();
        for len in [16, 100, STOCK_BYTES / 4, STOCK_BYTES / 4 + 1, 16] {
            for _ in 0..200 {
                let mut bytes = vec![0; len];
                fill(&mut bytes).expect("the kernel has some");
                assert!(bytes.windows(16).all(|window| seen.insert(window.to_vec())));
            }
        }
    }

    #[test]
    fn what_was_given_is_forgotten() {
        fill(&mut [0; 16]).expect("the kernel has some");
        STOCK.with_borrow(|stock| assert!(stock.bytes[stock.left..].iter().all(|&byte| byte == 0)));
    }
}
