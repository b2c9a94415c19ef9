//! The few pickle operations that a torch state dict consists of, read without running anything.
//!
//! A pickle is a program for a stack machine that can call any Python function. This machine knows plain values,
//! containers, and the three constructors that `torch.save` writes for a state dict (`OrderedDict`,
//! `_rebuild_tensor_v2`, `_rebuild_parameter`); storages are references. Everything else is an error.

use std::collections::HashMap;
use std::rc::Rc;

use super::state::Dtype;
use crate::limits;

/// What a pickle can mean here.
#[derive(Debug, Clone)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    Tuple(Rc<Tuple>),
    Dict(Vec<(Value, Value)>),
    List(Vec<Value>),
    /// A class or function by name, not called.
    Global(Rc<str>),
    Storage(Rc<Storage>),
    Tensor(Rc<TensorRef>),
    Mark,
}

/// Values that can be recalled many times over, so their depth is kept rather than walked.
#[derive(Debug, Default)]
pub struct Tuple {
    pub items: Vec<Value>,
    depth: usize,
}

/// A reference to a block of values elsewhere in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Storage {
    pub dtype: Dtype,
    pub key: String,
    pub elements: usize,
}

/// A view into a storage.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorRef {
    pub storage: Rc<Storage>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}

impl Value {
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(int) => Some(*int),
            _ => None,
        }
    }

    fn sizes(&self) -> Option<Vec<usize>> {
        let Self::Tuple(tuple) = self else { return None };
        tuple.items.iter().map(|item| item.as_int().and_then(|n| usize::try_from(n).ok())).collect()
    }

    fn depth(&self) -> usize {
        match self {
            Self::Tuple(tuple) => tuple.depth,
            Self::List(items) => 1 + items.iter().map(Value::depth).max().unwrap_or(0),
            Self::Dict(items) => 1 + items.iter().map(|(k, v)| k.depth().max(v.depth())).max().unwrap_or(0),
            _ => 0,
        }
    }
}

/// Reads one pickle; says how many bytes it took.
///
/// # Errors
/// A sentence: a file that ends early, an operation or a class that no state dict has, or too many values.
pub fn read(bytes: &[u8]) -> Result<(Value, usize), String> {
    let mut machine = Machine { bytes, at: 0, stack: Vec::new(), memo: HashMap::new() };
    let value = machine.run()?;
    Ok((value, machine.at))
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    stack: Vec<Value>,
    memo: HashMap<u32, Value>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Value, String> {
        loop {
            if self.stack.len() + self.memo.len() > limits::PICKLE_VALUES {
                return Err("it holds too many values".into());
            }
            let op = self.byte()?;
            match op {
                b'.' => return self.pop(),
                0x80 => drop(self.byte()?),
                0x95 => drop(self.take(8)?),
                b'(' => self.stack.push(Value::Mark),
                b'N' => self.stack.push(Value::None),
                0x88 => self.stack.push(Value::Bool(true)),
                0x89 => self.stack.push(Value::Bool(false)),
                b'K' | b'M' | b'J' | 0x8a => self.integer(op)?,
                b'G' => {
                    let bytes = self.array::<8>()?;
                    self.stack.push(Value::Float(f64::from_be_bytes(bytes)));
                }
                b'X' | 0x8c | b'U' | b'T' => self.text(op)?,
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.stack.push(Value::Global(format!("{module}.{name}").into()));
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (Some(name), Some(module)) = (name.as_text(), module.as_text()) else {
                        return Err("a class has no name".into());
                    };
                    self.stack.push(Value::Global(format!("{module}.{name}").into()));
                }
                b')' => self.stack.push(Value::Tuple(Rc::default())),
                b'}' => self.stack.push(Value::Dict(Vec::new())),
                b']' => self.stack.push(Value::List(Vec::new())),
                0x85..=0x87 => {
                    let from = self.stack.len().checked_sub((op - 0x84) as usize).ok_or_else(underflow)?;
                    let items = self.stack.split_off(from);
                    self.push_tuple(items)?;
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.push_tuple(items)?;
                }
                b'q' | b'r' | 0x94 => self.store(op)?,
                b'h' | b'j' => self.recall(op)?,
                b's' | b'u' => self.set_items(op)?,
                b'a' | b'e' => self.append(op)?,
                b'Q' => self.persistent()?,
                b'R' => self.reduce()?,
                b'b' => self.build()?,
                _ => return Err(format!("operation {op:#04x} belongs to no state dict")),
            }
        }
    }

    fn integer(&mut self, op: u8) -> Result<(), String> {
        let value = match op {
            b'K' => i64::from(self.byte()?),
            b'M' => i64::from(u16::from_le_bytes(self.array()?)),
            b'J' => i64::from(i32::from_le_bytes(self.array()?)),
            _ => {
                let length = self.byte()? as usize;
                let bytes = self.take(length)?;
                let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                if length > 8 && bytes[8..].iter().any(|b| *b != if negative { 0xff } else { 0 }) {
                    // torch's magic number has ten bytes and is compared nowhere but in the header.
                    self.stack.push(Value::None);
                    return Ok(());
                }
                let mut word = if negative { [0xff; 8] } else { [0; 8] };
                let n = length.min(8);
                word[..n].copy_from_slice(&bytes[..n]);
                i64::from_le_bytes(word)
            }
        };
        self.stack.push(Value::Int(value));
        Ok(())
    }

    fn text(&mut self, op: u8) -> Result<(), String> {
        let length = match op {
            0x8c | b'U' => self.byte()? as usize,
            _ => u32::from_le_bytes(self.array()?) as usize,
        };
        let text = std::str::from_utf8(self.take(length)?).map_err(|_| "a text is not UTF-8")?.into();
        self.stack.push(Value::Text(text));
        Ok(())
    }

    fn store(&mut self, op: u8) -> Result<(), String> {
        let slot = match op {
            b'q' => u32::from(self.byte()?),
            b'r' => u32::from_le_bytes(self.array()?),
            _ => self.memo.len() as u32,
        };
        // A state dict never uses a container twice, and a copy could grow a small file without end.
        let value = match self.stack.last().ok_or_else(underflow)? {
            Value::Dict(_) | Value::List(_) => Value::Mark,
            value => value.clone(),
        };
        self.memo.insert(slot, value);
        Ok(())
    }

    fn recall(&mut self, op: u8) -> Result<(), String> {
        let slot = if op == b'h' { u32::from(self.byte()?) } else { u32::from_le_bytes(self.array()?) };
        match self.memo.get(&slot) {
            None => Err("a reference leads nowhere".into()),
            Some(Value::Mark) => Err("a container is used twice".into()),
            Some(value) => {
                self.stack.push(value.clone());
                Ok(())
            }
        }
    }

    fn set_items(&mut self, op: u8) -> Result<(), String> {
        let items = if op == b'u' {
            self.since_mark()?
        } else {
            let from = self.stack.len().checked_sub(2).ok_or_else(underflow)?;
            self.stack.split_off(from)
        };
        self.check_depth(&items)?;
        match self.stack.last_mut() {
            Some(Value::Dict(dict)) => {
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    dict.push((key, value));
                }
                Ok(())
            }
            _ => Err("something that is no dictionary is filled as one".into()),
        }
    }

    fn append(&mut self, op: u8) -> Result<(), String> {
        let items = if op == b'e' { self.since_mark()? } else { vec![self.pop()?] };
        self.check_depth(&items)?;
        match self.stack.last_mut() {
            Some(Value::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => Err("something that is no list is filled as one".into()),
        }
    }

    fn push_tuple(&mut self, items: Vec<Value>) -> Result<(), String> {
        self.check_depth(&items)?;
        let depth = 1 + items.iter().map(Value::depth).max().unwrap_or(0);
        self.stack.push(Value::Tuple(Rc::new(Tuple { items, depth })));
        Ok(())
    }

    fn check_depth(&self, items: &[Value]) -> Result<(), String> {
        match items.iter().any(|item| item.depth() >= limits::PICKLE_DEPTH) {
            true => Err("its values are nested too deeply".into()),
            false => Ok(()),
        }
    }

    /// `('storage', class, key, location, elements)`, and in old files a view, which is `None`.
    fn persistent(&mut self) -> Result<(), String> {
        let Value::Tuple(parts) = self.pop()? else { return Err("a storage is described wrongly".into()) };
        let [Value::Text(kind), Value::Global(class), Value::Text(key), _, Value::Int(elements), view @ ..] =
            parts.items.as_slice()
        else {
            return Err("a storage is described wrongly".into());
        };
        if &**kind != "storage" || !view.iter().all(|v| matches!(v, Value::None)) {
            return Err("a storage is described wrongly".into());
        }
        let dtype = match class.trim_start_matches("torch.").trim_start_matches("cuda.") {
            "FloatStorage" => Dtype::F32,
            "DoubleStorage" => Dtype::F64,
            "HalfStorage" => Dtype::F16,
            "BFloat16Storage" => Dtype::Bf16,
            "LongStorage" => Dtype::I64,
            _ => return Err(format!("its values are of the class {class}, which no weights have")),
        };
        let elements = usize::try_from(*elements).map_err(|_| "a storage has a negative size")?;
        self.stack.push(Value::Storage(Rc::new(Storage { dtype, key: key.to_string(), elements })));
        Ok(())
    }

    fn reduce(&mut self) -> Result<(), String> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let (Value::Tuple(arguments), Value::Global(name)) = (arguments, callable) else {
            return Err("it calls something without a name".into());
        };
        let value = match (&*name, arguments.items.as_slice()) {
            ("collections.OrderedDict", []) => Value::Dict(Vec::new()),
            ("collections.OrderedDict", [Value::List(pairs)]) => Value::Dict(pairs_of(pairs)?),
            ("torch._utils._rebuild_tensor_v2", [Value::Storage(storage), offset, shape, stride, ..])
            | ("torch._utils._rebuild_tensor", [Value::Storage(storage), offset, shape, stride]) => {
                let view = offset.as_int().and_then(|n| usize::try_from(n).ok()).zip(shape.sizes()).zip(stride.sizes());
                let ((offset, shape), stride) = view.ok_or("a tensor is described wrongly")?;
                if shape.len() != stride.len() || shape.len() > 8 {
                    return Err("a tensor is described wrongly".into());
                }
                Value::Tensor(Rc::new(TensorRef { storage: storage.clone(), offset, shape, stride }))
            }
            ("torch._utils._rebuild_parameter", [tensor @ Value::Tensor(_), ..]) => tensor.clone(),
            _ => return Err(format!("it calls {name}, which is no part of a state dict")),
        };
        self.stack.push(value);
        Ok(())
    }

    /// A state dict's `__setstate__` carries torch's `_metadata`, versions of modules, which names tell as well.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        match (self.stack.last(), state) {
            (Some(Value::Dict(_)), Value::Dict(_)) => Ok(()),
            _ => Err("it sets the state of something that is no state dict".into()),
        }
    }

    fn since_mark(&mut self) -> Result<Vec<Value>, String> {
        let mark = self.stack.iter().rposition(|v| matches!(v, Value::Mark)).ok_or_else(underflow)?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn pop(&mut self) -> Result<Value, String> {
        self.stack.pop().ok_or_else(underflow)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or_else(truncated)?;
        self.at += N;
        Ok(*found)
    }

    fn take(&mut self, n: usize) -> Result<&[u8], String> {
        let end = self.at.checked_add(n).ok_or_else(truncated)?;
        let found = self.bytes.get(self.at..end).ok_or_else(truncated)?;
        self.at = end;
        Ok(found)
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = self.bytes.get(self.at..).ok_or_else(truncated)?;
        let end = rest.iter().take(256).position(|b| *b == b'\n').ok_or_else(truncated)?;
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| "a name is not UTF-8")?.to_owned();
        self.at += end + 1;
        Ok(line)
    }
}

fn pairs_of(pairs: &[Value]) -> Result<Vec<(Value, Value)>, String> {
    pairs
        .iter()
        .map(|pair| match pair {
            Value::List(pair) => <[Value; 2]>::try_from(pair.clone()).ok(),
            Value::Tuple(pair) => <[Value; 2]>::try_from(pair.items.clone()).ok(),
            _ => None,
        })
        .map(|pair| pair.map(|[key, value]| (key, value)).ok_or_else(|| "a dictionary is described wrongly".into()))
        .collect()
}

fn underflow() -> String {
    "its stack runs empty".into()
}

fn truncated() -> String {
    "it ends early".into()
}
