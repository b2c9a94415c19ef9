//! What calls in a pickle make: tensors and dictionaries are known, the rest is a name.

use super::machine::Machine;
use super::{Node, Storage, Tensor, Value};
use crate::limits;
use crate::weights::state::Dtype;

/// Axes of a tensor; convolutions of volumes have five.
const AXES: usize = 8;

pub(super) enum Made<'a> {
    Node(Node<'a>),
    Value(Value<'a>),
}

impl<'a> Machine<'a> {
    /// What `callable(*arguments)` is.
    pub fn construct(&mut self, callable: Value<'a>, arguments: Value<'a>) -> Result<Made<'a>, String> {
        let (module, name) = match callable {
            // What an object has made, such as an instance of a class that was made by a function.
            Value::Object(name) => return Ok(Made::Value(Value::Object(name))),
            Value::Node(i) => match self.nodes[i] {
                Node::Global { module, name } => (module, name),
                _ => return Err("it calls something without a name".into()),
            },
            _ => return Err("it calls something without a name".into()),
        };
        if runs_code(module, name) {
            return Err(format!(
                "it calls {module}.{name} as soon as Python opens it: it runs a program, and its source is not to be trusted"
            ));
        }
        let items = self.tuple(arguments).ok_or("it calls something without arguments")?;
        Ok(match (module, name, items) {
            ("collections", "OrderedDict", []) | ("collections", "defaultdict", _) => {
                Made::Node(Node::Dict(Vec::new()))
            }
            ("collections", "OrderedDict", [pairs]) => {
                let pairs = *pairs;
                Made::Node(Node::Dict(self.pairs(pairs)?))
            }
            // The function, the class of the tensor, its arguments and attributes.
            ("torch._tensor", "_rebuild_from_type_v2", [function, _, arguments, ..]) => {
                let inner = match function {
                    Value::Node(i) => match self.nodes[*i] {
                        Node::Global { module, name } => {
                            self.tuple(*arguments).and_then(|a| self.tensor(module, name, a))
                        }
                        _ => None,
                    },
                    _ => None,
                };
                self.counted(inner, name)?
            }
            _ => {
                let tensor = self.tensor(module, name, items);
                self.counted(tensor, name)?
            }
        })
    }

    fn counted(&mut self, tensor: Option<Tensor<'a>>, name: &'a str) -> Result<Made<'a>, String> {
        let Some(tensor) = tensor else { return Ok(Made::Value(Value::Object(name))) };
        self.tensors += 1;
        // Beside its weights, a checkpoint has an average of them and two moments.
        if self.tensors > 4 * limits::TENSORS {
            return Err("it holds too many tensors".into());
        }
        Ok(Made::Node(Node::Tensor(Box::new(tensor))))
    }

    /// A tensor of a type that weights have, if that is what the call makes.
    fn tensor(&self, module: &str, name: &str, arguments: &[Value<'a>]) -> Option<Tensor<'a>> {
        if module != "torch._utils" {
            return None;
        }
        match (name, arguments) {
            ("_rebuild_tensor_v2", [storage, offset, shape, stride, ..])
            | ("_rebuild_tensor", [storage, offset, shape, stride]) => {
                let Value::Node(storage) = storage else { return None };
                let Node::Storage(storage) = self.nodes[*storage] else { return None };
                storage.dtype?;
                let (offset, shape, stride) = (offset.as_size()?, self.sizes(*shape)?, self.sizes(*stride)?);
                (shape.len() == stride.len()).then_some(Tensor { storage, offset, shape, stride })
            }
            ("_rebuild_parameter" | "_rebuild_parameter_with_state", [Value::Node(tensor), ..]) => {
                match &self.nodes[*tensor] {
                    Node::Tensor(tensor) => Some(Tensor::clone(tensor)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn sizes(&self, value: Value<'a>) -> Option<Vec<usize>> {
        let items = self.tuple(value).filter(|items| items.len() <= AXES)?;
        items.iter().map(Value::as_size).collect()
    }

    fn tuple(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match value {
            Value::Node(i) => match &self.nodes[i] {
                Node::Tuple(items) => Some(items),
                _ => None,
            },
            _ => None,
        }
    }

    /// The items of an `OrderedDict` as Python 2 wrote them. They are copied, and so they count: the list may have been
    /// recalled any number of times.
    fn pairs(&mut self, list: Value<'a>) -> Result<Vec<(Value<'a>, Value<'a>)>, String> {
        let wrong = || "a dictionary is described wrongly".to_owned();
        let Value::Node(list) = list else { return Err(wrong()) };
        let length = match &self.nodes[list] {
            Node::List(pairs) => pairs.len(),
            _ => return Err(wrong()),
        };
        self.count(2 * length)?;
        let Node::List(pairs) = &self.nodes[list] else { return Err(wrong()) };
        let pair = |value: &Value<'a>| match value {
            Value::Node(i) => match &self.nodes[*i] {
                Node::List(pair) | Node::Tuple(pair) => pair.as_array::<2>().map(|[key, value]| (*key, *value)),
                _ => None,
            },
            _ => None,
        };
        pairs.iter().map(pair).collect::<Option<Vec<_>>>().ok_or_else(wrong)
    }

    /// `('storage', class, key, location, elements)`, and in old files a view, which is `None`; or, where a whole model
    /// was saved, `('module', class, file, source)`.
    pub fn persistent(&self, description: Value<'a>) -> Result<Made<'a>, String> {
        let wrong = || "a storage is described wrongly".to_owned();
        let parts = self.tuple(description).ok_or_else(wrong)?;
        if let [Value::Text("module"), class, ..] = parts {
            return Ok(Made::Value(*class));
        }
        let [Value::Text("storage"), Value::Node(class), Value::Text(key), _, elements, view @ ..] = parts else {
            return Err(wrong());
        };
        let Node::Global { name: class, .. } = self.nodes[*class] else { return Err(wrong()) };
        if !view.iter().all(|part| *part == Value::None) {
            return Err(wrong());
        }
        let dtype = match class {
            "FloatStorage" => Some(Dtype::F32),
            "DoubleStorage" => Some(Dtype::F64),
            "HalfStorage" => Some(Dtype::F16),
            "BFloat16Storage" => Some(Dtype::Bf16),
            "LongStorage" => Some(Dtype::I64),
            _ => None,
        };
        let elements = elements.as_size().ok_or("a storage has a negative size")?;
        Ok(Made::Node(Node::Storage(Storage { dtype, class, key, elements })))
    }
}

impl Storage<'_> {
    /// Bytes of one element, where the type is known.
    pub fn width(&self) -> Option<usize> {
        match self.class {
            "BoolStorage" | "ByteStorage" | "CharStorage" | "UntypedStorage" | "QUInt8Storage" | "QInt8Storage" => {
                Some(1)
            }
            "ShortStorage" => Some(2),
            "IntStorage" | "QInt32Storage" => Some(4),
            "ComplexFloatStorage" => Some(8),
            "ComplexDoubleStorage" => Some(16),
            _ => self.dtype.map(Dtype::bytes),
        }
    }
}

/// Whether a call, which is not carried out here, would run other code wherever the file is opened in Python. No list of
/// such calls is complete; whoever gets a file with one of these should hear of it.
fn runs_code(module: &str, name: &str) -> bool {
    match module.split('.').next().unwrap_or_default() {
        "os" | "posix" | "nt" | "subprocess" | "commands" | "pty" | "runpy" | "importlib" | "ctypes" | "socket"
        | "sys" => true,
        "builtins" | "__builtin__" => {
            matches!(name, "eval" | "exec" | "execfile" | "compile" | "__import__" | "open" | "input" | "apply")
        }
        _ => false,
    }
}
