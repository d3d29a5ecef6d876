//! What compiling a module costs, as far as its bytes say without compiling it.
//!
//! Knows how Cranelift's time and memory grow, not Cranelift. Measured with wasmtime 48 on one core: 5 µs and 500 bytes of memory
//! for each byte of a function; 0.14 µs for each local, of which 50,000 are declared in three bytes; more than 5 µs for each
//! value beyond the first that a call, a block or a branch hands over, of which there are 1,000 in two bytes; for n branches in
//! one function n² × 3 to 100 ns; 10 µs and 1 KiB for each local and each loop around its use. So some modules of a few KiB compile
//! for hours: these are refused. The bounds keep programs that compilers make; a module that is made to be slow can still take minutes.
//! Invariant: its own work is linear in the bytes.

use super::inspect::Inspection;
use wasmparser::{BinaryReaderError, BlockType, FunctionBody, Operator, Payload, TypeRef};

/// Bytes of one function, at the most: half a gigabyte of memory to compile it. The interpreter loops of languages have a tenth.
pub const FUNCTION_BYTES_MAX: u64 = 1 << 20;

/// Locals and cases of switches of all functions together, at the most: five seconds of them.
pub const LOCALS_MAX: u64 = 32 << 20;

/// Values beyond the first that calls, blocks and branches hand over, of all functions together, at the most. Compilers hardly
/// make any.
pub const MULTI_VALUES_MAX: u64 = 1 << 18;

/// A function's branches, times its branches and locals together, at the most: 11,585 branches, or 2,500 with 50,000 locals.
pub const FUNCTION_MERGES_MAX: u64 = 1 << 27;

/// The same of all functions together, at the most.
pub const MERGES_MAX: u64 = 1 << 32;

/// Uses of locals in loops in one function, each as often as there are loops around it, at the most.
pub const LOOPED_USES_MAX: u64 = 4 << 20;

/// What a compiler has to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompileWork {
    /// The largest function's size in bytes.
    pub function_bytes: u64,
    /// See [`LOCALS_MAX`].
    pub locals: u64,
    /// See [`MULTI_VALUES_MAX`].
    pub multi_values: u64,
    /// The largest of one function: see [`FUNCTION_MERGES_MAX`].
    pub function_merges: u64,
    /// See [`MERGES_MAX`].
    pub merges: u64,
    /// The most of one function: see [`LOOPED_USES_MAX`].
    pub looped_uses: u64,
}

/// A function's type, as far as it matters here.
#[derive(Clone, Copy, Debug, Default)]
struct Arity {
    params: u64,
    results: u64,
}

/// Reads a valid module's sections in their order.
#[derive(Debug, Default)]
pub(super) struct Reader {
    types: Vec<Arity>,
    /// The types of all functions, the imported ones first.
    functions: Vec<Arity>,
    /// How many functions have had their bodies, or are imported.
    seen: usize,
    pub(super) work: CompileWork,
}

impl Reader {
    pub(super) fn read(&mut self, payload: &Payload<'_>) -> Result<(), BinaryReaderError> {
        match payload {
            Payload::TypeSection(section) => {
                for ty in section.clone().into_iter_err_on_gc_types() {
                    let ty = ty?;
                    self.types.push(Arity { params: ty.params().len() as u64, results: ty.results().len() as u64 });
                }
            }
            Payload::ImportSection(section) => {
                for import in section.clone().into_imports() {
                    if let TypeRef::Func(ty) | TypeRef::FuncExact(ty) = import?.ty {
                        self.functions.push(self.ty(ty));
                        self.seen += 1;
                    }
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section.clone() {
                    self.functions.push(self.ty(ty?));
                }
            }
            Payload::CodeSectionEntry(body) => self.read_body(body)?,
            _ => {}
        }
        Ok(())
    }

    fn ty(&self, index: u32) -> Arity {
        at(&self.types, index)
    }

    fn read_body(&mut self, body: &FunctionBody<'_>) -> Result<(), BinaryReaderError> {
        let own = self.functions.get(self.seen).copied().unwrap_or_default();
        self.seen += 1;
        let mut function = Function { label: own.results, locals: own.params, ..Function::default() };
        for group in body.get_locals_reader()? {
            function.locals += u64::from(group?.0);
        }
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            function.look(&operators.read()?, self);
        }
        let bytes = body.range();
        let bytes = (bytes.end - bytes.start) as u64;
        let merges = function.branches * (function.branches + function.locals);
        // A branch hands over as many values as its target takes; which one that is, is not looked at.
        let multi_values = function.multi_values + (function.branches + function.cases) * more(function.label);
        let work = &mut self.work;
        work.function_bytes = work.function_bytes.max(bytes);
        work.function_merges = work.function_merges.max(merges);
        work.looped_uses = work.looped_uses.max(function.looped_uses);
        work.locals = work.locals.saturating_add(function.locals + function.cases);
        work.multi_values = work.multi_values.saturating_add(multi_values);
        work.merges = work.merges.saturating_add(merges);
        Ok(())
    }
}

/// Values beyond the first.
fn more(values: u64) -> u64 {
    values.saturating_sub(1)
}

fn at(arities: &[Arity], index: u32) -> Arity {
    usize::try_from(index).ok().and_then(|index| arities.get(index)).copied().unwrap_or_default()
}

/// A function, as far as it was read. Nothing here is more than 1,000 in each of its bytes and the locals, so that nothing of
/// it overflows when two are multiplied.
#[derive(Debug, Default)]
struct Function {
    locals: u64,
    branches: u64,
    cases: u64,
    multi_values: u64,
    /// The most values that one of its labels takes.
    label: u64,
    looped_uses: u64,
    /// The loops around what is read now.
    loops: u64,
    /// The loops around each block that is open.
    outer: Vec<u64>,
}

impl Function {
    fn look(&mut self, operator: &Operator<'_>, module: &Reader) {
        match operator {
            Operator::Block { blockty } | Operator::Loop { blockty } | Operator::If { blockty } => {
                self.branches += 1;
                self.outer.push(self.loops);
                self.loops += u64::from(matches!(operator, Operator::Loop { .. }));
                if let BlockType::FuncType(ty) = blockty {
                    let ty = module.ty(*ty);
                    self.multi_values += ty.params + more(ty.results);
                    self.label = self.label.max(ty.params).max(ty.results);
                }
            }
            Operator::End => self.loops = self.outer.pop().unwrap_or(0),
            Operator::LocalGet { .. } | Operator::LocalSet { .. } | Operator::LocalTee { .. } => {
                self.looped_uses += self.loops;
            }
            Operator::Else
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrOnNull { .. }
            | Operator::BrOnNonNull { .. }
            | Operator::Return => self.branches += 1,
            Operator::BrTable { targets } => {
                self.branches += 1;
                self.cases += u64::from(targets.len());
            }
            Operator::Call { function_index } => {
                self.multi_values += more(at(&module.functions, *function_index).results);
            }
            Operator::CallIndirect { type_index, .. } | Operator::CallRef { type_index } => {
                self.multi_values += more(module.ty(*type_index).results);
            }
            _ => {}
        }
    }
}

impl Inspection {
    /// Why it is not compiled.
    pub(super) fn work_refusal(&self) -> Option<String> {
        let work = &self.work;
        let cases = [
            (work.function_bytes, FUNCTION_BYTES_MAX, "bytes in one function"),
            (work.locals, LOCALS_MAX, "locals and cases of switches"),
            (work.multi_values, MULTI_VALUES_MAX, "values that calls and blocks hand over beyond their first"),
            (work.function_merges, FUNCTION_MERGES_MAX, "places in one function where branches and locals meet"),
            (work.merges, MERGES_MAX, "places where branches and locals meet"),
            (work.looped_uses, LOOPED_USES_MAX, "uses of locals within loops in one function, counted for each loop"),
        ];
        let (is, max, of) = cases.iter().find(|(is, max, _)| is > max)?;
        Some(format!(
            "would take too long to compile: it has {is} {of}, a module may have {max}\n  = help: compile it with \
             optimisation, or split its largest functions"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::modules::inspect;

    fn work(text: &str) -> CompileWork {
        inspect(&wat::parse_str(text).expect("good text")).expect("valid").work
    }

    fn refusal(work: CompileWork) -> Option<String> {
        let module = wat::parse_str(r#"(module (func (export "_start")))"#).expect("good text");
        let refusals = Inspection { work, ..inspect(&module).expect("valid") }.refusals();
        assert!(refusals.len() < 2, "{refusals:?}");
        refusals.into_iter().next()
    }

    #[test]
    fn locals_branches_and_values_are_counted() {
        // Locals, values beyond the first, merges.
        let cases = [
            ("(module (func))", (0, 0, 0)),
            ("(module (func (local i32 i32 i64)) (func (param f32)))", (4, 0, 0)),
            ("(module (func (local i32 i32) (block (br 0)) return))", (2, 0, 3 * 5)),
            ("(module (func (result i32) (block (br 0)) (return (i32.const 1))))", (0, 0, 9)),
            // A return hands over what the function does.
            ("(module (func (result i32 i32) (return (i32.const 1) (i32.const 1))))", (0, 1, 1)),
            // Imported functions have their numbers before the module's own.
            (
                r#"(module (import "a" "b" (func (result i32 i32))) (func) (func (call 0) drop drop (call 1)))"#,
                (0, 1, 0),
            ),
            (
                "(module (type $t (func (result i32 i32))) (table 1 funcref)
                    (func (call_indirect (type $t) (i32.const 0)) drop drop))",
                (0, 1, 0),
            ),
            // Two more results, and two more for the block's own label.
            ("(module (func (block (result i32 i32 i32) unreachable) drop drop drop))", (0, 2 + 2, 1)),
            ("(module (func (block (block (br_table 0 1 0 1 (i32.const 0))))))", (3, 0, 9)),
            (
                "(module (func (if (i32.const 1) (then) (else)) (loop (br_if 0 (i32.const 0)))) (func (block)))",
                (0, 0, 17),
            ),
        ];
        for (text, wanted) in cases {
            let found = work(text);
            assert_eq!((found.locals, found.multi_values, found.merges), wanted, "{text}");
        }
        let found = work("(module (func) (func nop (block)) (func nop))");
        assert_eq!((found.function_bytes, found.function_merges), (6, 1));
        let uses = "(local.set 0 (local.get 0))";
        let text = format!("(module (func (local i32) {uses} (loop {uses} (loop (block {uses}))) (block {uses})))");
        assert_eq!(work(&text).looped_uses, 2 + 4);
    }

    #[test]
    fn each_limit_refuses_one_more() {
        type Case = (fn(&mut CompileWork) -> &mut u64, u64, &'static str);
        let cases: [Case; 6] = [
            (|work| &mut work.function_bytes, FUNCTION_BYTES_MAX, "bytes in one function"),
            (|work| &mut work.locals, LOCALS_MAX, "locals and cases"),
            (|work| &mut work.multi_values, MULTI_VALUES_MAX, "beyond their first"),
            (|work| &mut work.function_merges, FUNCTION_MERGES_MAX, "places in one function"),
            (|work| &mut work.merges, MERGES_MAX, "places where"),
            (|work| &mut work.looped_uses, LOOPED_USES_MAX, "uses of locals"),
        ];
        for (part, limit, text) in cases {
            let mut work = CompileWork::default();
            *part(&mut work) = limit;
            assert_eq!(refusal(work.clone()), None, "{text}");
            *part(&mut work) = limit + 1;
            let refused = refusal(work).expect(text);
            assert!(refused.starts_with(&format!("would take too long to compile: it has {}", limit + 1)), "{refused}");
            assert!(refused.contains(text), "{refused}");
        }
    }

    #[test]
    fn a_few_bytes_that_would_compile_for_long_are_refused() {
        // 700 functions of 50,000 locals each: 6 KiB, and five seconds.
        let locals = "i32 ".repeat(50_000);
        let functions = format!("(func (local {locals}))").repeat(700);
        let text = format!(r#"(module (func (export "_start")) {functions})"#);
        let found = inspect(&wat::parse_str(text).expect("good text")).expect("valid");
        assert!(found.bytes < 10_000 && found.refusals()[0].starts_with("would take too long"), "{found:?}");
    }
}
