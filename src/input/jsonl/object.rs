//! One record: the rows in it, or what is wrong with it.

use std::borrow::Cow;
use std::ops::ControlFlow;

use serde_json::Number;

use crate::domain::job::Encoding;
use crate::domain::operation::{FieldKind, ItemPlace};
use crate::domain::request::row::{FieldValue, FieldValues, RowRef};
use crate::input::columns::{Column, Columns};
use crate::input::encoding::REPLACEMENT;
use crate::input::row::{self, Fault, Sink};

use super::fields::{Fields, Raw};
use super::value::{self, Type};

/// A line of the file.
#[derive(Clone, Copy)]
pub(super) struct JsonLine<'l> {
    /// From 1.
    pub(super) number: u64,
    pub(super) json: &'l str,
    /// Whether replacement characters in it replace bytes that were no text.
    pub(super) damaged: bool,
}

/// Hands the rows of a line to the sink. An error means that it is no JSON object.
pub(super) fn read(
    line: JsonLine<'_>,
    columns: &Columns<'_>,
    sink: &mut Sink<'_>,
) -> Result<ControlFlow<()>, serde_json::Error> {
    let fields = Fields::parse(line.json, columns)?;
    let mut record = ObjectParser { line, columns, from: fields.from, sink, flow: ControlFlow::Continue(()) };
    record.read(&fields);
    Ok(record.flow)
}

/// What the parser found, without its line number, which is always 1 here.
pub(super) fn syntax(error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    if error.is_eof() {
        return Fault::new("is no JSON object: it does not end on this line");
    }
    let what = text.split(" at line ").next().unwrap_or_default();
    Fault::new(format!("is no JSON object: {what} at character {}", error.column()))
}

struct ObjectParser<'l, 'r, 's> {
    line: JsonLine<'l>,
    columns: &'r Columns<'r>,
    from: Option<Raw<'l>>,
    sink: &'r mut Sink<'s>,
    flow: ControlFlow<()>,
}

impl<'l> ObjectParser<'l, '_, '_> {
    fn read(&mut self, fields: &Fields<'l>) {
        let ids_in_list = self.columns.items == ItemPlace::Ids;
        let fault = fields.fault.as_ref();
        let count = match (fields.list, fields.account) {
            (Some(_), _) if !fields.values.is_empty() || fields.tag_list.is_some() => {
                let beside = fields.values.first().map_or(self.tag_list_name(), |(field, _)| field);
                return self.reject(Fault::new(format!(
                    "the object has `{beside}` beside its list: each item of the list has its own"
                )));
            }
            (Some(list), None) if Type::of(list) == Type::List => {
                value::for_each(list, |item| self.list_item(item, fault))
            }
            (None, Some(ids)) if ids_in_list && Type::of(ids) == Type::List => value::for_each(ids, |id| {
                self.item(Some(id), &Fields::default(), fault);
            }),
            (Some(_), None) => return self.reject(Fault::new("the key of the list has a value that is not a list")),
            (Some(_), Some(_)) => return self.reject(Fault::new("the object has both a list and an item of its own")),
            (None, account) => {
                self.item(account, fields, fault);
                1
            }
        };
        if count == 0 {
            self.reject(Fault::new("the list of the object is empty"));
        }
    }

    /// An element of `DeleteItem` or `UpdateItem`.
    fn list_item(&mut self, item: Raw<'l>, fault: Option<&Fault>) {
        if Type::of(item) != Type::Object {
            let fault = Fault::new(format!("an item of the list is {}, not an object", Type::of(item).name()));
            return self.reject(fault);
        }
        match Fields::parse(item.get(), self.columns) {
            Ok(fields) if fields.list.is_some() => self.reject(Fault::new("an item of the list has a list of its own")),
            Ok(fields) if fields.from.is_some() => self.reject(Fault::new("an item of the list has a From_Account")),
            Ok(fields) => self.item(fields.account, &fields, fault.or(fields.fault.as_ref())),
            Err(error) => self.reject(syntax(&error)),
        }
    }

    /// A row: the item's account, and the values of its `fields`.
    fn item(&mut self, account: Option<Raw<'l>>, fields: &Fields<'l>, fault: Option<&Fault>) {
        if self.flow.is_break() {
            return;
        }
        let mut values = FieldValues::new();
        let row = fault.map_or(Ok(()), |fault| Err(fault.clone()));
        let row = row.and_then(|()| self.row(account, fields, &mut values));
        self.flow = match row {
            Ok((from, account, json)) => (self.sink)(Ok(RowRef {
                line: self.line.number,
                from: from.as_deref().map(str::as_bytes),
                account: account.as_bytes(),
                fields: json.as_bytes(),
            })),
            Err(fault) => {
                let (from, account) = (self.from.and_then(unparsed), account.and_then(unparsed));
                (self.sink)(Err(fault.into_row(self.line.number, from, account, values)))
            }
        };
    }

    fn row(
        &self,
        account: Option<Raw<'l>>,
        fields: &Fields<'l>,
        values: &mut FieldValues,
    ) -> Result<IdsAndFields<'l>, Fault> {
        let from = self.columns.from.map(|from| self.id(from, self.from)).transpose()?;
        let account = self.id(self.columns.account, account)?;
        row::check_ids(self.columns, from.as_deref(), &account)?;
        self.read_fields(fields, values)?;
        Ok((from, account, row::fields_json(self.columns, values)?))
    }

    fn id(&self, column: Column<'_>, raw: Option<Raw<'l>>) -> Result<Cow<'l, str>, Fault> {
        let raw = raw.ok_or_else(|| Fault::of(column.api, "is missing").kept())?;
        self.text(column.api, raw)
    }

    fn text(&self, name: &str, raw: Raw<'l>) -> Result<Cow<'l, str>, Fault> {
        match Type::of(raw) {
            Type::Text => {
                let text = value::text(raw).ok_or_else(|| Fault::of(name, "has an escape that is no character"))?;
                self.check_encoding(name, &text)?;
                Ok(text)
            }
            Type::Number => {
                Err(Fault::of(name, format_args!("is the number {}: ids are text, write them in quotes", raw.get())))
            }
            other @ (Type::List | Type::Object | Type::Boolean | Type::Null) => {
                Err(Fault::of(name, format_args!("is {}, not text", other.name())))
            }
        }
    }

    fn check_encoding(&self, name: &str, text: &str) -> Result<(), Fault> {
        if !self.line.damaged || !text.contains(REPLACEMENT) {
            return Ok(());
        }
        let encoding = match self.columns.encoding {
            Encoding::Utf8 => "UTF-8; if the file is GBK: input.encoding = \"gbk\"",
            Encoding::Gbk => "GBK",
        };
        Err(Fault::of(name, format_args!("is not valid {encoding}")))
    }

    /// The name of the list of `Tag` and `Value`; only for operations that have one.
    fn tag_list_name(&self) -> &'static str {
        self.columns.fields.tag_list.unwrap_or_default()
    }

    /// Fields as keys of the object, and those of its list of tags.
    fn read_fields(&self, fields: &Fields<'l>, values: &mut FieldValues) -> Result<(), Fault> {
        for (field, raw) in &fields.values {
            self.set_field(values, field, raw)?;
        }
        let Some(list) = fields.tag_list else {
            return Ok(());
        };
        if Type::of(list) != Type::List {
            return Err(Fault::new(format!("`{}` is {}, not a list", self.tag_list_name(), Type::of(list).name())));
        }
        let mut result = Ok(());
        value::for_each(list, |pair| {
            if result.is_ok() {
                result = self.tag_and_value(pair, values);
            }
        });
        result
    }

    fn tag_and_value(&self, pair: Raw<'l>, values: &mut FieldValues) -> Result<(), Fault> {
        let list = self.tag_list_name();
        let wrong = |_| Fault::new(format!("an element of `{list}` is not {{\"Tag\": text, \"Value\": …}}"));
        let pair: ListedTag<'_> = serde_json::from_str(pair.get()).map_err(wrong)?;
        match pair.value.filter(|value| Type::of(value) != Type::Null) {
            Some(value) => self.set_field(values, &pair.tag, value),
            None => Ok(()),
        }
    }

    fn set_field(&self, values: &mut FieldValues, name: &str, raw: Raw<'l>) -> Result<(), Fault> {
        let fields = &self.columns.fields;
        let kind = fields.field(name).ok_or_else(|| Fault::of(name, fields.unknown()))?.kind;
        let value = field_value(kind, raw).ok_or_else(|| Fault::of(name, format_args!("must be {kind}")))?;
        match &value {
            FieldValue::Text(text) => self.check_encoding(name, text)?,
            FieldValue::Groups(groups) => groups.iter().try_for_each(|group| self.check_encoding(name, group))?,
            FieldValue::Integer(_) => {}
        }
        row::set_field(self.columns, values, name, value)
    }

    /// Rejects the record, or an item of which no account is known.
    fn reject(&mut self, fault: Fault) {
        if self.flow.is_continue() {
            let from = self.from.and_then(unparsed);
            self.flow = (self.sink)(Err(fault.into_row(self.line.number, from, None, FieldValues::new())));
        }
    }
}

/// From_Account, the item's account and the fields as JSON.
type IdsAndFields<'l> = (Option<Cow<'l, str>>, Cow<'l, str>, String);

/// An element of a list of tags.
#[derive(serde::Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListedTag<'l> {
    tag: String,
    #[serde(borrow)]
    value: Option<Raw<'l>>,
}

fn field_value(kind: FieldKind, raw: Raw<'_>) -> Option<FieldValue> {
    match Type::of(raw) {
        Type::Text => value::text(raw).map(|text| FieldValue::Text(text.into())),
        Type::Number => whole(raw.get()).map(FieldValue::Integer),
        Type::List if kind.is_list() => {
            let names: Vec<Cow<'_, str>> = serde_json::from_str(raw.get()).ok()?;
            Some(FieldValue::groups(names.iter().map(AsRef::as_ref)))
        }
        Type::List | Type::Object | Type::Boolean | Type::Null => None,
    }
}

/// A whole number of up to 64 bits, with or without sign.
fn whole(text: &str) -> Option<Number> {
    let signed = text.parse::<i64>().ok().map(Number::from);
    signed.or_else(|| text.parse::<u64>().ok().map(Number::from))
}

/// An id for the results file. What is no text there would be one in the results, and pass for an id.
fn unparsed(raw: Raw<'_>) -> Option<String> {
    (Type::of(raw) == Type::Text).then(|| value::text(raw).map(Cow::into_owned)).flatten()
}
