//! A second copy of the page's module, for browsers without relaxed SIMD.
//!
//! The convolutions multiply and add in one instruction (`f32x4.relaxed_madd`), about twice as fast as in two; a browser
//! that does not know the instruction refuses the whole module. Here each becomes a multiplication and an addition, which
//! is what the instruction is allowed to do anyway, so that one build of the crate serves both.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, Function, Instruction, ValType};
use wasmparser::{FunctionBody, Operator, Parser, Payload, Validator, WasmFeatures};

/// File names of the module that trunk builds and of the copy without relaxed SIMD.
const FROM: &str = "worker_bg.wasm";
const TO: &str = "worker_plain_bg.wasm";

/// Where trunk puts what it builds until all of it is there.
const STAGING: &str = "TRUNK_STAGING_DIR";

/// Writes the second module beside the first.
pub fn write(folder: Option<&Path>) -> Result<()> {
    let folder: PathBuf = match folder {
        Some(folder) => folder.to_owned(),
        None => std::env::var_os(STAGING).with_context(|| format!("which folder? {STAGING} is not set either"))?.into(),
    };
    let from = folder.join(FROM);
    let module = std::fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?;
    let plain = plain(&module).with_context(|| format!("{} cannot be rewritten", from.display()))?;
    let to = folder.join(TO);
    std::fs::write(&to, plain).with_context(|| format!("cannot write {}", to.display()))
}

/// The same module without relaxed SIMD.
fn plain(module: &[u8]) -> Result<Vec<u8>> {
    let mut rewriter = Rewriter { parameters: parameters(module)?, function: 0 };
    let mut plain = wasm_encoder::Module::new();
    rewriter.parse_core_module(&mut plain, Parser::new(0), module)?;
    let plain = plain.finish();
    let features = WasmFeatures::all() - WasmFeatures::RELAXED_SIMD;
    Validator::new_with_features(features).validate_all(&plain).context("what came of it is no module")?;
    Ok(plain)
}

/// The number of parameters of every function that has a body, in their order.
fn parameters(module: &[u8]) -> Result<Vec<u32>> {
    let (mut types, mut functions) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(section) => {
                for group in section.into_iter_err_on_gc_types() {
                    types.push(group?.params().len() as u32);
                }
            }
            Payload::FunctionSection(section) => {
                for index in section {
                    functions.push(*types.get(index? as usize).context("a function has no type")?);
                }
            }
            _ => {}
        }
    }
    Ok(functions)
}

struct Rewriter {
    parameters: Vec<u32>,
    /// The body that comes next.
    function: usize,
}

impl Reencode for Rewriter {
    type Error = std::convert::Infallible;

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let parameters = self.parameters.get(self.function).copied();
        self.function += 1;
        let operators = body.get_operators_reader()?.into_iter().collect::<Result<Vec<_>, _>>()?;
        if !operators.iter().any(|operator| matches!(operator, Operator::F32x4RelaxedMadd)) {
            return utils::parse_function_body(self, code, body);
        }
        let (mut locals, mut addend) = (Vec::new(), parameters.unwrap_or_default());
        for pair in body.get_locals_reader()? {
            let (count, of) = pair?;
            locals.push((count, self.val_type(of)?));
            addend += count;
        }
        locals.push((1, ValType::V128));
        let mut function = Function::new(locals);
        for operator in operators {
            if matches!(operator, Operator::F32x4RelaxedMadd) {
                // The addend is on top of the factors.
                function.instruction(&Instruction::LocalSet(addend));
                function.instruction(&Instruction::F32x4Mul);
                function.instruction(&Instruction::LocalGet(addend));
                function.instruction(&Instruction::F32x4Add);
            } else {
                function.instruction(&self.instruction(operator)?);
            }
        }
        code.function(&function);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{ExportKind, ExportSection, FunctionSection, Module, TypeSection};

    use super::*;

    /// Two functions of two parameters; the second does `instruction` on its first parameter three times.
    fn module(instruction: &Instruction<'_>) -> Vec<u8> {
        let mut module = Module::new();
        let mut types = TypeSection::new();
        types.ty().function([ValType::V128, ValType::I32], [ValType::V128]);
        module.section(&types);
        let mut functions = FunctionSection::new();
        functions.function(0).function(0);
        module.section(&functions);
        let mut exports = ExportSection::new();
        exports.export("f", ExportKind::Func, 1);
        module.section(&exports);
        let mut code = CodeSection::new();
        let mut first = Function::new([]);
        first.instruction(&Instruction::LocalGet(0)).instruction(&Instruction::End);
        code.function(&first);
        let mut second = Function::new([(2, ValType::I32)]);
        for _ in 0..3 {
            second.instruction(&Instruction::LocalGet(0));
        }
        second.instruction(instruction).instruction(&Instruction::End);
        code.function(&second);
        module.section(&code);
        module.finish()
    }

    fn bodies(module: &[u8]) -> Vec<String> {
        let payloads = Parser::new(0).parse_all(module).map(Result::unwrap);
        let body = |payload| if let Payload::CodeSectionEntry(body) = payload { Some(body) } else { None };
        let of = |body: FunctionBody<'_>| {
            let operators = body.get_operators_reader().unwrap().into_iter().map(|o| format!("{:?}", o.unwrap()));
            operators.collect::<Vec<_>>().join(", ")
        };
        payloads.filter_map(body).map(of).collect()
    }

    #[test]
    fn a_relaxed_product_becomes_two_instructions() {
        let relaxed = module(&Instruction::F32x4RelaxedMadd);
        let found = bodies(&plain(&relaxed).unwrap());
        assert_eq!(found[0], bodies(&relaxed)[0]);
        let get = |i| format!("LocalGet {{ local_index: {i} }}");
        // Two parameters and two locals come before the new one.
        let [x, addend] = [get(0), get(4)];
        assert_eq!(
            found[1],
            format!("{x}, {x}, {x}, LocalSet {{ local_index: 4 }}, F32x4Mul, {addend}, F32x4Add, End")
        );
    }

    #[test]
    fn another_relaxed_instruction_is_refused() {
        let error = plain(&module(&Instruction::F32x4RelaxedNmadd)).unwrap_err();
        assert!(format!("{error:#}").contains("relaxed"), "{error:#}");
        assert!(plain(b"\0asm").is_err());
    }
}
