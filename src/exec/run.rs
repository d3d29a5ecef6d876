//! A guest's run, in a box that serves one run after another.
//!
//! A worker's runs are all of one type, of more than a kilobyte: a short pod takes the box of the one before it. Knows nothing of
//! what a run does. Invariant: a box that is spare holds no run.

use super::{Busy, Outcome};
use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future of [`Runtime::run`](super::Runtime::run), or none any more. The type of those has no name, so a box cannot say what fits
/// into it: it is asked to take what fits.
pub(super) trait Run {
    /// As [`Future::poll`]; not to be called once it is cleared.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Outcome, Busy>>;

    /// Drops the future, which ends the guest.
    fn clear(self: Pin<&mut Self>);

    /// Takes the future out of `next`, if that is an [`Option`] of the same type; whether it is.
    fn refill(self: Pin<&mut Self>, next: &mut dyn Any) -> bool;
}

/// A guest's run.
pub(super) type BoxedRun = Pin<Box<dyn Run>>;

impl<F: Future<Output = Result<Outcome, Busy>> + 'static> Run for Option<F> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<Outcome, Busy>> {
        self.as_pin_mut().expect("a run that is cleared has no turns").poll(context)
    }

    fn clear(mut self: Pin<&mut Self>) {
        self.set(None);
    }

    fn refill(mut self: Pin<&mut Self>, next: &mut dyn Any) -> bool {
        let Some(next) = next.downcast_mut::<Self>() else { return false };
        self.set(next.take());
        true
    }
}

/// Puts `run` into `spare`, if it fits there, else into a box of its own.
pub(super) fn boxed(run: impl Future<Output = Result<Outcome, Busy>> + 'static, spare: Option<BoxedRun>) -> BoxedRun {
    let mut next = Some(run);
    if let Some(mut spare) = spare
        && spare.as_mut().refill(&mut next)
    {
        return spare;
    }
    Box::pin(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use std::task::Waker;

    async fn run(alive: Rc<()>) -> Result<Outcome, Busy> {
        tokio::task::yield_now().await;
        drop(alive);
        Err(Busy)
    }

    fn turn(run: &mut BoxedRun) -> Poll<Result<Outcome, Busy>> {
        run.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_box_serves_runs_of_its_type() {
        let alive = Rc::new(());
        let mut spare = boxed(run(Rc::clone(&alive)), None);
        let place = &raw const *spare;
        for _ in 0..3 {
            assert!(turn(&mut spare).is_pending());
            assert_eq!(Rc::strong_count(&alive), 2);
            spare.as_mut().clear();
            assert_eq!(Rc::strong_count(&alive), 1, "clearing ends the guest");
            spare = boxed(run(Rc::clone(&alive)), Some(spare));
            assert!(std::ptr::addr_eq(&raw const *spare, place));
        }
        assert!(turn(&mut spare).is_pending());
        assert_eq!(turn(&mut spare), Poll::Ready(Err(Busy)));
        spare.as_mut().clear();
        let mut other = boxed(async { Err(Busy) }, Some(spare));
        assert_eq!(turn(&mut other), Poll::Ready(Err(Busy)));
    }
}
