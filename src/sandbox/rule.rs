//! Which engine a pod gets: what its template says first, then what its module is.
//!
//! Pure. Invariant: a pod of the small engine can never grow to where its slot ends before its memory limit ends it.

use crate::model::{EngineKind, PodTemplate};
use crate::modules::Inspection;

const PAGE_BYTES: u64 = 64 << 10;

/// The engine that a template asks for, whatever its module is: the large one for more memory than a small slot has, and for
/// a CPU of its own, which says that it computes for longer than starting it matters.
pub(super) fn asked_for(template: &PodTemplate, memory_bytes_default: u64, slot_bytes: u64) -> EngineKind {
    let memory_bytes_max = template.memory_bytes_max.unwrap_or(memory_bytes_default);
    if memory_bytes_max > slot_bytes || template.wants_whole_cpu { EngineKind::Large } else { EngineKind::Small }
}

/// Whether a module can run in a small slot: with at the most one memory, addressed with 32 bits, that can start there.
pub(super) fn fits_small(module: &Inspection, slot_bytes: u64) -> bool {
    let fits = |pages: u64| pages.checked_mul(PAGE_BYTES).is_some_and(|bytes| bytes <= slot_bytes);
    module.memories.len() <= 1 && module.memories.iter().all(|memory| !memory.is_64 && fits(memory.min_pages))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::inspect;

    const SLOT: u64 = 256 << 20;

    #[test]
    fn a_template_is_small_up_to_the_slot_and_below_a_cpu() {
        let cases = [
            (None, false, SLOT, EngineKind::Small),
            (None, false, SLOT + 1, EngineKind::Large),
            (Some(SLOT), false, SLOT + 1, EngineKind::Small),
            (Some(SLOT + 1), false, 1, EngineKind::Large),
            (Some(0), false, SLOT, EngineKind::Small),
            (None, true, 1, EngineKind::Large),
            (Some(1), true, 1, EngineKind::Large),
        ];
        for (memory_bytes_max, wants_whole_cpu, default, kind) in cases {
            let template = PodTemplate { memory_bytes_max, wants_whole_cpu, ..PodTemplate::default() };
            assert_eq!(asked_for(&template, default, SLOT), kind, "{memory_bytes_max:?} {wants_whole_cpu} {default}");
        }
    }

    #[test]
    fn a_module_is_small_with_one_memory_that_can_start_in_the_slot() {
        let cases = [
            ("", true),
            ("(memory 1)", true),
            ("(memory 4096)", true),
            ("(memory 4097)", false),
            ("(memory 65536)", false),
            ("(memory 1 65536)", true),
            ("(memory 0) (memory 0)", false),
            ("(memory i64 1)", false),
            ("(memory 1) (table 100000 funcref) (table 1 funcref)", true),
        ];
        for (text, fits) in cases {
            let module = inspect(&wat::parse_str(format!("(module {text})")).expect("good text")).expect("valid");
            assert_eq!(fits_small(&module, SLOT), fits, "{text}");
        }
    }
}
