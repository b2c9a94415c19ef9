//! A list of JSON in which one bad entry does not cost the others, and none can ask for more memory than it should.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::annotations::brief;
use crate::limits;

/// Each entry, or what is wrong with it.
pub(in crate::annotations) struct TriedList<T>(pub Vec<Result<T, String>>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for TriedList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor(PhantomData)).map(Self)
    }
}

struct ListVisitor<T>(PhantomData<T>);

impl<'de, T: DeserializeOwned> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<Result<T, String>>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let (mut list, mut bad) = (Vec::new(), 0);
        while let Some(value) = entries.next_element_seed(Bounded(&mut { limits::OBJECT_VALUES }))? {
            if list.len() == limits::TABLE_OBJECTS {
                return Err(A::Error::custom(format!("more than {} entries in a list", limits::TABLE_OBJECTS)));
            }
            let entry = T::deserialize(value).map_err(brief);
            bad += usize::from(entry.is_err());
            if bad > limits::OBJECTS {
                return Err(A::Error::custom(format!(
                    "more than {} entries of a list cannot be used",
                    limits::OBJECTS
                )));
            }
            list.push(entry);
        }
        Ok(list)
    }
}

/// Any JSON of at most so many values, which it counts down.
pub(in crate::annotations) struct Bounded<'a>(pub &'a mut usize);

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        *self.0 = self.0.checked_sub(1).ok_or_else(|| D::Error::custom("an annotation of far too many values"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = entries.next_element_seed(Bounded(self.0))? {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            map.insert(key, entries.next_value_seed(Bounded(self.0))?);
        }
        Ok(Value::Object(map))
    }
}
