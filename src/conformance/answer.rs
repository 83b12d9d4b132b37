//! The answers to the calls of a check.

use serde_json::Value;

/// The lists in which answers report on items.
const LISTS: [&str; 4] = ["ResultItem", "InfoItem", "UserProfileItem", "QueryResult"];

/// `ErrorCode` or `ResultCode` of `account_delete` for an account that does not exist.
const ACCOUNT_MISSING: i64 = 70107;

/// An account that a deletion has not removed, as far as its answer shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountLeft {
    /// Its id.
    pub id: String,
    /// Why; none if the answer has no code for it.
    pub code: Option<i64>,
}

/// The answer to one call; none if there was no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredAnswer(Option<Value>);

impl MeasuredAnswer {
    /// Reads a body.
    pub fn read(body: Option<&[u8]>) -> Self {
        Self(body.and_then(|body| serde_json::from_slice(body).ok()))
    }

    /// A field of the answer.
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.get(name)
    }

    /// `ErrorCode`.
    pub fn error_code(&self) -> Option<i64> {
        self.field("ErrorCode")?.as_i64()
    }

    /// The items that the answer reports on.
    pub fn items(&self) -> &[Value] {
        let list = LISTS.iter().find_map(|name| self.field(name)?.as_array());
        list.map_or(&[], Vec::as_slice)
    }

    /// The code of each item, in the order of the answer.
    pub fn item_codes(&self) -> Option<Vec<i64>> {
        self.items().iter().map(|item| item.get("ResultCode")?.as_i64()).collect()
    }

    /// The code that decides about a call with one item: that of the request, or else that of the item.
    pub fn code(&self) -> Option<i64> {
        match self.error_code()? {
            0 => Some(self.item_codes()?.first().copied().unwrap_or(0)),
            code => Some(code),
        }
    }

    /// Whether an import names accounts that it did not create.
    pub fn has_failed_accounts(&self) -> bool {
        self.field("FailAccounts").and_then(Value::as_array).is_some_and(|failed| !failed.is_empty())
    }

    /// The accounts of a deletion that may still exist. An account is gone only if the answer says so.
    pub fn accounts_left(&self, ids: &[String]) -> Vec<AccountLeft> {
        let code_of_item = |id: &str| {
            let is_of = |item: &&Value| item.get("UserID").and_then(Value::as_str) == Some(id);
            self.items().iter().find(is_of)?.get("ResultCode")?.as_i64()
        };
        let code = |id: &str| match self.error_code() {
            Some(0) => code_of_item(id),
            of_request => of_request,
        };
        let accounts = ids.iter().map(|id| AccountLeft { code: code(id), id: id.clone() });
        accounts.filter(|account| !matches!(account.code, Some(0 | ACCOUNT_MISSING))).collect()
    }

    /// A text of the first item.
    pub fn item_text(&self, name: &str) -> Option<&str> {
        self.items().first()?.get(name)?.as_str()
    }
}
