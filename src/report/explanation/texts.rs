//! The words of an explanation that do not depend on its code.

use crate::domain::language::Translated;

pub(super) const TREATED: Translated = Translated::new("treated", "处理");
/// The title of a line that continues the one before.
pub(super) const NO_TITLE: Translated = Translated::new("", "");
pub(super) const CLASS: Translated = Translated::new("class", "类别");
pub(super) const TO_DO: Translated = Translated::new("to do", "建议");
pub(super) const SOURCE: Translated = Translated::new("source", "来源");
pub(super) const OTHERS: Translated = Translated::new("others", "其他");
pub(super) const ROWS: Translated = Translated::new("rows", "行数");
pub(super) const STOPPED: Translated = Translated::new("stopped", "已停止");
pub(super) const HINT: Translated = Translated::new("hint", "提示");
pub(super) const NO_CODE: Translated = Translated::new("no code", "无错误码");

pub(super) const COLON: Translated = Translated::new(": ", "：");
pub(super) const COMMA: Translated = Translated::new(", ", "、");

/// The meaning of a code that is in no table.
pub(super) const UNKNOWN: Translated = Translated::new("unknown to imbulk", "imbulk 未收录此错误码");
/// What to do about it.
pub(super) const UNKNOWN_ADVICE: Translated = Translated::new(
    "`imbulk results NAME` shows the text of the API; look up the code in the documentation of the API",
    "`imbulk results NAME` 会显示 API 返回的文本；请在 API 文档中查找此错误码",
);
/// The meaning of rows without a code.
pub(super) const NOT_NAMED: Translated = Translated::new("no answer named a code", "没有应答给出错误码");
/// What to do about them.
pub(super) const NO_CODE_ADVICE: Translated =
    Translated::new("`imbulk results NAME` shows the reason of each row", "`imbulk results NAME` 会显示每一行的原因");
/// Before the class of codes that are in no table.
pub(super) const EVERY_OTHER_CODE: Translated = Translated::new("every other code is ", "其他错误码均为 ");
