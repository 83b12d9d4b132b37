//! Codes of profiles: 40xxx.

use super::{CodeInfo, DATA_LEFT, FATAL, OF_ONE_ITEM};

/// In ascending order.
pub(super) static CODES: &[CodeInfo] = &[
    CodeInfo {
        codes: 40_001..=40_001,
        meaning: "a parameter is wrong",
        advice: "`imbulk results NAME` shows the API's reason; correct the row",
        source: "error code tables 2023 and 2025",
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_002..=40_002,
        meaning: "the request names no account",
        advice: "report this as a bug of imbulk",
        source: "error code tables 2023 and 2025",
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_003..=40_003,
        meaning: "the account does not exist",
        advice: "check the id or import the account",
        source: "error code tables 2023 and 2025",
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_004..=40_004,
        meaning: "the call needs an admin of the app",
        advice: "name an admin in `[app] identifier`",
        source: "error code tables 2023 and 2025",
        rule: FATAL,
    },
    CodeInfo {
        codes: 40_005..=40_005,
        meaning: "a field holds a sensitive word",
        advice: "change the value",
        source: "old error code table",
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_006..=40_006,
        meaning: "an error within the server, also while account_delete clears the profile",
        advice: "nothing; if it continues, ask Tencent Cloud support",
        source: "page account_delete; error code tables 2023 and 2025",
        rule: DATA_LEFT,
    },
    CodeInfo {
        codes: 40_007..=40_007,
        meaning: "reading a field is not allowed",
        advice: "give the app the right to the field in the console",
        source: "error code tables 2023 and 2025",
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_008..=40_008,
        meaning: "writing a field is not allowed",
        advice: "give the app the right to the field in the console",
        source: "error code tables 2023 and 2025",
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_009..=40_009,
        meaning: "there is no such tag",
        advice: "create the custom field in the console; it can be used after about five minutes",
        source: "error code tables 2023 and 2025",
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_601..=40_601,
        meaning: "a value has more than 500 bytes",
        advice: "shorten the value",
        source: "error code tables 2023 and 2025",
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_605..=40_605,
        meaning: "a value is not valid",
        advice: "`imbulk results NAME` shows the API's reason; correct the row",
        source: "error code tables 2023 and 2025",
        rule: OF_ONE_ITEM,
    },
    CodeInfo {
        codes: 40_610..=40_610,
        meaning: "a value is of the wrong type",
        advice: "`imbulk results NAME` shows the API's reason; correct the row",
        source: "error code tables 2023 and 2025",
        rule: OF_ONE_ITEM,
    },
];
