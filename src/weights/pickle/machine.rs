//! The stack machine: operations of the protocols 2 to 5, as `pickletools.py` lists them.

use super::construct::Made;
use super::{Node, Value};
use crate::limits;

pub(super) struct Machine<'a> {
    bytes: &'a [u8],
    pub at: usize,
    stack: Vec<Value<'a>>,
    memo: Vec<Option<Value<'a>>>,
    pub nodes: Vec<Node<'a>>,
    pub tensors: usize,
    pub made: usize,
}

impl<'a> Machine<'a> {
    pub fn new(bytes: &'a [u8], made: usize) -> Self {
        Self { bytes, at: 0, stack: Vec::new(), memo: Vec::new(), nodes: Vec::new(), tensors: 0, made }
    }

    pub fn run(&mut self) -> Result<Value<'a>, String> {
        loop {
            let op = self.byte()?;
            match op {
                b'.' => return self.pop(),
                0x80 => drop(self.byte()?),
                // A frame says how much to read at once.
                0x95 => drop(self.take(8)?),
                b'(' => self.push(Value::Mark)?,
                b'N' => self.push(Value::None)?,
                0x88 => self.push(Value::Bool(true))?,
                0x89 => self.push(Value::Bool(false))?,
                b'K' | b'M' | b'J' | 0x8a | 0x8b => self.integer(op)?,
                b'G' => {
                    let bytes = self.array::<8>()?;
                    self.push(Value::Float(f64::from_be_bytes(bytes)))?;
                }
                b'X' | 0x8c | 0x8d | b'U' | b'T' => self.text(op)?,
                b'B' | b'C' | 0x8e | 0x96 => {
                    let length = self.length(op)?;
                    self.take(length)?;
                    self.push(Value::Object("bytes"))?;
                }
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push_node(Node::Global { module, name })?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let named = module.as_text().zip(name.as_text());
                    let (module, name) = named.ok_or("a class has no name")?;
                    self.push_node(Node::Global { module, name })?;
                }
                b')' => self.push_node(Node::Tuple(Vec::new()))?,
                b'}' => self.push_node(Node::Dict(Vec::new()))?,
                b']' => self.push_node(Node::List(Vec::new()))?,
                0x8f => self.push(Value::Object("set"))?,
                0x85..=0x87 => {
                    let items = self.last((op - 0x84).into())?;
                    self.push_node(Node::Tuple(items))?;
                }
                b't' => {
                    let items = self.since_mark()?;
                    self.push_node(Node::Tuple(items))?;
                }
                0x91 => {
                    self.since_mark()?;
                    self.push(Value::Object("frozenset"))?;
                }
                b'q' | b'r' | 0x94 => self.store(op)?,
                b'h' | b'j' => self.recall(op)?,
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let top = self.top()?;
                    self.push(top)?;
                }
                b's' => {
                    let items = self.last(2)?;
                    self.set_items(&items)?;
                }
                b'u' => {
                    let items = self.since_mark()?;
                    self.set_items(&items)?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.append(&[item])?;
                }
                b'e' => {
                    let items = self.since_mark()?;
                    self.append(&items)?;
                }
                0x90 => {
                    self.since_mark()?;
                    match self.top()? {
                        Value::Object(_) => {}
                        _ => return Err("a value that is not a set is filled as one".into()),
                    }
                }
                b'Q' => {
                    let description = self.pop()?;
                    match self.persistent(description)? {
                        Made::Node(node) => self.push_node(node)?,
                        Made::Value(value) => self.push(value)?,
                    }
                }
                // With keyword arguments (0x92) nothing is made that is looked into.
                0x92 => {
                    self.pop()?;
                    self.call()?;
                }
                b'R' | 0x81 => self.call()?,
                b'b' => self.build()?,
                _ => return Err(format!("operation {op:#04x} belongs to no torch file")),
            }
        }
    }

    fn push(&mut self, value: Value<'a>) -> Result<(), String> {
        self.count(1)?;
        self.stack.push(value);
        Ok(())
    }

    pub fn push_node(&mut self, node: Node<'a>) -> Result<(), String> {
        self.nodes.push(node);
        self.push(Value::Node(self.nodes.len() - 1))
    }

    /// Everything that takes memory passes here.
    pub fn count(&mut self, values: usize) -> Result<(), String> {
        self.made = self.made.saturating_add(values);
        if self.made > limits::PICKLE_VALUES {
            return Err(format!("it makes too many values (more than {})", limits::PICKLE_VALUES));
        }
        Ok(())
    }

    fn integer(&mut self, op: u8) -> Result<(), String> {
        let value = match op {
            b'K' => i64::from(self.byte()?),
            b'M' => i64::from(u16::from_le_bytes(self.array()?)),
            b'J' => i64::from(i32::from_le_bytes(self.array()?)),
            _ => {
                let length = match op {
                    0x8a => self.byte()?.into(),
                    _ => u32::from_le_bytes(self.array()?) as usize,
                };
                let bytes = self.take(length)?;
                let negative = bytes.last().is_some_and(|b| b & 0x80 != 0);
                if length > 8 {
                    // Too great for anything that counts, such as torch's magic number or the state of a random number generator.
                    return self.push(Value::Object("int"));
                }
                let mut word = if negative { [0xff; 8] } else { [0; 8] };
                word[..length].copy_from_slice(bytes);
                i64::from_le_bytes(word)
            }
        };
        self.push(Value::Int(value))
    }

    fn length(&mut self, op: u8) -> Result<usize, String> {
        Ok(match op {
            0x8c | b'U' | b'C' => self.byte()?.into(),
            0x8d | 0x8e | 0x96 => usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|_| truncated())?,
            _ => u32::from_le_bytes(self.array()?) as usize,
        })
    }

    /// Python 2 wrote bytes as texts, and file names may have bytes that are not UTF-8; neither names a tensor.
    fn text(&mut self, op: u8) -> Result<(), String> {
        let length = self.length(op)?;
        let text = std::str::from_utf8(self.take(length)?);
        self.push(text.map_or(Value::Object("bytes"), Value::Text))
    }

    fn store(&mut self, op: u8) -> Result<(), String> {
        let slot = match op {
            b'q' => self.byte()?.into(),
            b'r' => u32::from_le_bytes(self.array()?) as usize,
            _ => self.memo.len(),
        };
        let value = self.top()?;
        self.count(1)?;
        // Writers number the values that they make, one after another.
        if slot > self.made {
            return Err("a reference has a number that no writer gives".into());
        }
        if slot >= self.memo.len() {
            self.memo.resize(slot + 1, None);
        }
        self.memo[slot] = Some(value);
        Ok(())
    }

    fn recall(&mut self, op: u8) -> Result<(), String> {
        let slot = if op == b'h' { self.byte()?.into() } else { u32::from_le_bytes(self.array()?) as usize };
        let value = self.memo.get(slot).copied().flatten().ok_or("a reference leads nowhere")?;
        self.push(value)
    }

    fn set_items(&mut self, items: &[Value<'a>]) -> Result<(), String> {
        let dict = match self.top()? {
            // A class of somebody's that behaves as a dictionary.
            Value::Object(_) => return Ok(()),
            Value::Node(i) => &mut self.nodes[i],
            _ => return Err("a value that is not a dictionary is filled as one".into()),
        };
        let Node::Dict(dict) = dict else { return Err("a value that is not a dictionary is filled as one".into()) };
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err("a key of a dictionary has no value".into());
        }
        dict.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    fn append(&mut self, items: &[Value<'a>]) -> Result<(), String> {
        match self.top()? {
            Value::Object(_) => return Ok(()),
            Value::Node(i) => {
                if let Node::List(list) = &mut self.nodes[i] {
                    list.extend(items);
                    return Ok(());
                }
            }
            _ => {}
        }
        Err("a value that is not a list is filled as one".into())
    }

    /// What `__setstate__` would get: torch's versions of modules for a state dict, attributes for an object. Neither is
    /// looked into.
    fn build(&mut self) -> Result<(), String> {
        self.pop()?;
        let has_state = match self.top()? {
            Value::Object(_) => true,
            Value::Node(i) => matches!(self.nodes[i], Node::Dict(_) | Node::Tensor(_)),
            _ => false,
        };
        if has_state { Ok(()) } else { Err("it sets the state of something that has none".into()) }
    }

    fn call(&mut self) -> Result<(), String> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        match self.construct(callable, arguments)? {
            Made::Node(node) => self.push_node(node),
            Made::Value(value) => self.push(value),
        }
    }

    /// The topmost `n` values, taken off.
    fn last(&mut self, n: usize) -> Result<Vec<Value<'a>>, String> {
        let from = self.stack.len().checked_sub(n).ok_or_else(underflow)?;
        Ok(self.stack.split_off(from))
    }

    fn since_mark(&mut self) -> Result<Vec<Value<'a>>, String> {
        let mark = self.stack.iter().rposition(|v| *v == Value::Mark).ok_or_else(underflow)?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn pop(&mut self) -> Result<Value<'a>, String> {
        self.stack.pop().ok_or_else(underflow)
    }

    fn top(&self) -> Result<Value<'a>, String> {
        self.stack.last().copied().ok_or_else(underflow)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let found = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or_else(truncated)?;
        self.at += N;
        Ok(*found)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(n).ok_or_else(truncated)?;
        let found = self.bytes.get(self.at..end).ok_or_else(truncated)?;
        self.at = end;
        Ok(found)
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = self.bytes.get(self.at..).ok_or_else(truncated)?;
        let end = rest.iter().take(256).position(|b| *b == b'\n').ok_or_else(truncated)?;
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| "a name is not UTF-8")?;
        self.at += end + 1;
        Ok(line)
    }
}

fn underflow() -> String {
    "its stack runs empty".into()
}

fn truncated() -> String {
    "it ends early".into()
}
