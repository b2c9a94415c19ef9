//! The pickles of torch files, read without running anything.
//!
//! A pickle is a program for a stack machine that can call any Python function. The machine here knows plain values,
//! containers, and the constructors that `torch.save` writes for tensors. Whatever else a training script keeps beside
//! its weights (an optimiser's class, `argparse.Namespace`, a NumPy scalar) becomes a [`Value::Object`]: a name without
//! content.
//!
//! A value is two words, and containers lie in one arena: recalling a container copies its number, never its content, so
//! that a small file cannot ask for much. All values that are ever made count towards one limit.

mod construct;
mod machine;

use super::state::Dtype;
use machine::Machine;

/// What a pickle can mean here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// A [`Node`] of the same pickle, by its number.
    Node(usize),
    /// Something that is not looked into, by the name of its class or of the function that makes it.
    Object(&'a str),
    /// The start of a row of values on the stack.
    Mark,
}

/// What has parts. Containers may hold each other and themselves.
#[derive(Debug, Clone, PartialEq)]
pub enum Node<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// A class or function by name, not called.
    Global {
        module: &'a str,
        name: &'a str,
    },
    Storage(Storage<'a>),
    Tensor(Box<Tensor<'a>>),
}

/// A reference to a block of values elsewhere in the file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Storage<'a> {
    /// `None` for a type that no weights have.
    pub dtype: Option<Dtype>,
    /// torch's name of the type.
    pub class: &'a str,
    pub key: &'a str,
    pub elements: usize,
}

/// A view into a storage; `shape` and `stride` are equally long.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor<'a> {
    pub storage: Storage<'a>,
    pub offset: usize,
    pub shape: Vec<usize>,
    pub stride: Vec<usize>,
}

/// A pickle that was read.
#[derive(Debug)]
pub struct Pickle<'a> {
    pub root: Value<'a>,
    /// Bytes that it took.
    pub length: usize,
    nodes: Vec<Node<'a>>,
}

impl<'a> Pickle<'a> {
    pub fn node(&self, value: Value<'a>) -> Option<&Node<'a>> {
        match value {
            Value::Node(i) => self.nodes.get(i),
            _ => None,
        }
    }

    /// Keys and values, where `value` is a dictionary.
    pub fn dict(&self, value: Value<'a>) -> Option<&[(Value<'a>, Value<'a>)]> {
        match self.node(value) {
            Some(Node::Dict(items)) => Some(items),
            _ => None,
        }
    }

    pub fn tensor(&self, value: Value<'a>) -> Option<&Tensor<'a>> {
        match self.node(value) {
            Some(Node::Tensor(tensor)) => Some(tensor),
            _ => None,
        }
    }

    /// Every storage that it speaks of, also of tensors that nothing refers to any more.
    pub fn storages(&self) -> impl Iterator<Item = &Storage<'a>> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}

impl<'a> Value<'a> {
    pub fn as_text(&self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    fn as_size(&self) -> Option<usize> {
        match self {
            Self::Int(int) => usize::try_from(*int).ok(),
            _ => None,
        }
    }
}

/// Reads one pickle, behind which there may be more bytes. `made` counts the values of this and earlier pickles of the
/// same file.
///
/// # Errors
/// A sentence: a file that ends early, an operation that `torch.save` does not write, a call that would run a program,
/// or too many values.
pub fn read<'a>(bytes: &'a [u8], made: &mut usize) -> Result<Pickle<'a>, String> {
    let mut machine = Machine::new(bytes, *made);
    let root = machine.run()?;
    *made = machine.made;
    Ok(Pickle { root, length: machine.at, nodes: machine.nodes })
}
