use std::collections::BTreeMap;
use std::ops::Deref;

use super::{AnswerShape, JobOption, Operation, OptionValue, ProtectedList};
use crate::domain::request::{AccountKeys, Request};

/// The option that says which sides of a friendship a delete removes, and its value for both.
pub(super) const DELETE_TYPE: &str = "delete_type";
pub(super) const BOTH_SIDES: &str = "both";

/// The maximum number of options of one operation.
const MAX_OPTIONS: usize = 4;

/// An operation with a value for each of its options. A job binds its options once; all that comes after it works with
/// the bound operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BoundOperation {
    operation: &'static Operation,
    /// Indexes of the values, in the order of the options.
    chosen: [u8; MAX_OPTIONS],
}

/// Why options cannot be bound.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindError {
    /// The operation has no such option.
    #[error("options.{option}: `{operation}` has no such option")]
    NotTaken {
        /// The operation.
        operation: &'static str,
        /// The option.
        option: String,
    },
    /// The option is required.
    #[error("options.{option}: `{operation}` needs it")]
    Missing {
        /// The operation.
        operation: &'static str,
        /// The option.
        option: &'static str,
    },
    /// The option has no such value.
    #[error("options.{option}: unknown value `{value}`")]
    WrongValue {
        /// The option.
        option: &'static str,
        /// What was given.
        value: String,
    },
}

impl BindError {
    /// The name of the option.
    pub fn option(&self) -> &str {
        match self {
            Self::NotTaken { option, .. } => option,
            Self::Missing { option, .. } | Self::WrongValue { option, .. } => option,
        }
    }
}

impl Operation {
    /// Binds the options that a job gives by name; the others get their defaults.
    pub fn bind(&'static self, given: &BTreeMap<String, String>) -> Result<BoundOperation, BindError> {
        if let Some(option) = given.keys().find(|name| self.option(name).is_none()) {
            return Err(BindError::NotTaken { operation: self.name, option: option.clone() });
        }
        let mut chosen = [0; MAX_OPTIONS];
        for (option, place) in self.options.iter().zip(&mut chosen) {
            let given = given.get(option.name).map(String::as_str);
            let value =
                given.or(option.default).ok_or(BindError::Missing { operation: self.name, option: option.name })?;
            let index = option.values.iter().position(|allowed| allowed.name == value);
            let wrong = || BindError::WrongValue { option: option.name, value: value.to_owned() };
            *place = index.and_then(|index| u8::try_from(index).ok()).ok_or_else(wrong)?;
        }
        Ok(BoundOperation { operation: self, chosen })
    }

    /// The option of this name.
    pub fn option(&self, name: &str) -> Option<&'static JobOption> {
        self.options.iter().find(|option| option.name == name)
    }

    /// The field of a `ResultItem` that names the item; `None` where the answer has none.
    pub const fn answer_key(&self) -> Option<&'static str> {
        match self.answer {
            AnswerShape::Items { key } => Some(key),
            AnswerShape::Failures | AnswerShape::Whole => None,
        }
    }

    /// Whether a job on a real app must name its protected accounts.
    pub fn needs_protected_list(&self) -> bool {
        self.protected_list == ProtectedList::Required
    }
}

impl BoundOperation {
    /// An operation without options.
    pub(super) fn plain(operation: &'static Operation) -> Self {
        Self { operation, chosen: [0; MAX_OPTIONS] }
    }

    /// The options and their values.
    pub fn options(self) -> impl Iterator<Item = (&'static JobOption, &'static OptionValue)> {
        let values = self.operation.options.iter().zip(self.chosen);
        values.map(|(option, index)| (option, &option.values[usize::from(index)]))
    }

    /// Whether an option has this value.
    pub fn is_set(self, option: &str, value: &str) -> bool {
        self.options().any(|(known, chosen)| known.name == option && chosen.name == value)
    }

    /// Whether both sides of a friendship are deleted.
    pub fn deletes_both_sides(self) -> bool {
        self.is_set(DELETE_TYPE, BOTH_SIDES)
    }

    /// The same operation, but deleting one side of a friendship only.
    #[must_use]
    pub fn one_sided(self) -> Self {
        let option = |name: &str| self.operation.options.iter().position(|option| option.name == name);
        let mut chosen = self.chosen;
        if let Some(index) = option(DELETE_TYPE) {
            let single = self.operation.options[index].values.iter().position(|value| value.name != BOTH_SIDES);
            chosen[index] = single.and_then(|index| u8::try_from(index).ok()).unwrap_or_default();
        }
        Self { chosen, ..self }
    }

    /// The options as the queue stores them: a JSON object.
    pub fn options_json(self) -> String {
        let options: BTreeMap<&str, &str> = self.options().map(|(option, value)| (option.name, value.name)).collect();
        // Text under text keys: serialising can't fail.
        serde_json::to_string(&options).expect("texts and numbers are JSON")
    }

    /// The accounts that a call with these items writes, as far as the request names them.
    pub fn keys(self, request: &Request) -> AccountKeys {
        (self.operation.writes)(self, request)
    }
}

/// A bound operation has all that its operation has.
impl Deref for BoundOperation {
    type Target = Operation;

    fn deref(&self) -> &Operation {
        self.operation
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::operation::by_name;

    fn given(options: &[(&str, &str)]) -> BTreeMap<String, String> {
        options.iter().map(|(option, value)| ((*option).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn options_are_bound_by_name_and_stored_as_json() {
        let operation = by_name("friend_delete").unwrap();
        let both = operation.bind(&given(&[("delete_type", "both")])).unwrap();
        assert_eq!(both.options_json(), r#"{"delete_type":"both"}"#);
        assert_eq!(operation.bind(&serde_json::from_str(&both.options_json()).unwrap()), Ok(both));
        assert!(both.is_set("delete_type", "both") && !both.is_set("delete_type", "single"));
        let silent = by_name("friend_delete_all").unwrap().bind(&given(&[])).unwrap();
        assert!(silent.is_set("delete_type", "single"));
        assert_eq!(by_name("account_delete").unwrap().bind(&given(&[])).unwrap().options_json(), "{}");
    }

    #[test]
    fn wrong_options_are_refused() {
        let of = |name: &str, given: &[(&str, &str)]| {
            by_name(name).unwrap().bind(&self::given(given)).unwrap_err().to_string()
        };
        assert_eq!(of("friend_delete", &[]), "options.delete_type: `friend_delete` needs it");
        assert_eq!(of("friend_delete", &[("delete_type", "Both")]), "options.delete_type: unknown value `Both`");
        let taken = of("account_delete", &[("delete_type", "both")]);
        assert_eq!(taken, "options.delete_type: `account_delete` has no such option");
    }
}
