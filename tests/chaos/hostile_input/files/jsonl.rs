//! JSONL files that no program writes on purpose.

use rand::RngExt;

use super::{Content, Hostile, ID, Writer, zstd};

impl Writer {
    pub(super) fn good_json_line(&mut self) {
        let id = self.id();
        let line = match self.pick(0..7) {
            0 => format!("{{\"UserID\":\"{id}\",\"x\":1e999}}"),
            1 => format!("  {{ \"UserID\" : \"{id}\" }}\t\r"),
            2 => format!("{{\"x\":{}{},\"UserID\":\"{id}\"}}", "[".repeat(100), "]".repeat(100)),
            3 => format!("{{\"User\\u0049D\":\"{id}\",\"x\":null}}"),
            4 => format!("{{\"UserID\":\"\\u0067{}\"}}", &id[1..]),
            5 => format!("{{\"UserID\":\"{id}\",\"x\":\"{}\"}}", "y".repeat(9000)),
            _ => format!("{{\"UserID\":\"{id}\"}}"),
        };
        self.text.good(&id, line);
    }

    pub(super) fn bad_json_line(&mut self) {
        let line: (Option<&'static str>, Vec<u8>) = match self.pick(0..20) {
            0 => (None, b"{\"UserID\":\"open".to_vec()),
            1 => (ID, b"{\"UserID\":5}".to_vec()),
            2 => (ID, b"{\"UserID\":null}".to_vec()),
            3 => (ID, b"{\"UserID\":[\"a\"]}".to_vec()),
            4 => (None, b"[1]".to_vec()),
            5 => (None, b"\"text\"".to_vec()),
            6 => (None, b"nul".to_vec()),
            7 => (ID, b"{}".to_vec()),
            8 => (None, b"{\"UserID\":\"a\",\"UserID\":\"b\"}".to_vec()),
            9 => (None, b"{\"UserID\":\"a\"}}".to_vec()),
            10 => (ID, format!("{{\"UserID\":{}{}}}", "[".repeat(300), "]".repeat(300)).into_bytes()),
            11 => (None, [b"{\"UserID\":".as_slice(), &b"[".repeat(100_000)].concat()),
            12 => (ID, b"{\"UserID\":-1e400}".to_vec()),
            13 => (ID, b"{\"UserID\":\"\xff\xfe\"}".to_vec()),
            14 => (ID, b"{\"UserID\":\"\\ud800\"}".to_vec()),
            15 => (ID, b"{\"UserID\":\"a\\u0000\"}".to_vec()),
            16 => (ID, format!("{{\"UserID\":\"{}\"}}", "x".repeat(1 << 20)).into_bytes()),
            17 => (None, b"{\"UserID\":\"a\",}".to_vec()),
            18 => (None, b"UserID,note".to_vec()),
            _ => (ID, b"{\"userid\":\"a\"}".to_vec()),
        };
        self.text.bad(line.0, line.1);
    }

    pub(super) fn json_lines(&mut self, count: usize) {
        // A list in the first line would make it another kind of file.
        self.good_json_line();
        for _ in 0..count {
            match self.pick(0..7) {
                0..=1 => self.bad_json_line(),
                2 => self.text.raw(" \t \r"),
                _ => self.good_json_line(),
            }
        }
    }

    pub(super) fn jsonl(&mut self) -> Hostile {
        let count = self.pick(0..40);
        self.json_lines(count);
        self.made("JSONL with good and bad lines", "rows.jsonl", "account_delete")
    }

    pub(super) fn wild_jsonl(&mut self) -> Hostile {
        let file = self.jsonl();
        self.wild(file, "JSONL with bytes changed anywhere")
    }

    pub(super) fn updates_jsonl(&mut self) -> Hostile {
        const REMARK: Option<&str> = Some("Tag_SNS_IM_Remark");
        const VIP: Option<&str> = Some("Tag_SNS_Custom_Vip");
        let row = |id: &str, fields: &str| format!("{{\"From_Account\":\"a\",\"To_Account\":\"{id}\",{fields}}}");
        for _ in 0..self.pick(1..40) {
            let id = self.id();
            match self.pick(0..14) {
                0 => self.text.bad(REMARK, row("b", "\"Tag_SNS_IM_Remark\":5")),
                1 => self.text.bad(REMARK, row("b", "\"Tag_SNS_IM_Remark\":[\"x\"]")),
                2 => self.text.bad(VIP, row("b", "\"Tag_SNS_Custom_Vip\":18446744073709551616")),
                3 => self.text.bad(VIP, row("b", "\"Tag_SNS_Custom_Vip\":1.5")),
                4 => self.text.bad(VIP, row("b", "\"Tag_SNS_Custom_Vip\":{\"deep\":[]}")),
                5 => self.text.bad(Some("Tag_SNS_IM_Group"), row("b", "\"Tag_SNS_IM_Group\":\"g\"")),
                6 => self.text.bad(Some("tag_sns_im_remark"), row("b", "\"tag_sns_im_remark\":\"x\"")),
                7 => self.text.bad(None, row("b", "\"Tag_SNS_IM_Remark\":null")),
                8 => self.text.good(&id, row(&id, "\"Tag_SNS_Custom_Vip\":-9223372036854775808")),
                _ => self.text.good(&id, row(&id, "\"Tag_SNS_IM_Remark\":\"r\"")),
            }
        }
        self.made("JSONL of updates", "rows.jsonl", "friend_update")
    }

    /// Records in the shape of the API's body, with bad items between good ones.
    pub(super) fn bodies(&mut self) -> Hostile {
        for _ in 0..self.pick(1..20) {
            match self.pick(0..6) {
                0 => self.text.bad(None, "{\"DeleteItem\":[]}"),
                1 => self.text.bad(None, "{\"DeleteItem\":{\"UserID\":\"a\"}}"),
                2 => self.text.bad(None, "{\"DeleteItem\":[{\"UserID\":\"a\"}],\"UserID\":\"b\"}"),
                _ => {
                    let line = self.text.lines + 1;
                    let ids: Vec<String> = (0..self.pick(1..9)).map(|n| format!("{}_{n}", self.id())).collect();
                    let mut items: Vec<String> = ids.iter().map(|id| format!("{{\"UserID\":\"{id}\"}}")).collect();
                    if self.rng.random() {
                        self.text.bad.push((line, ID));
                        items.insert(self.rng.random_range(0..=items.len()), "{\"UserID\":7}".to_owned());
                    }
                    self.text.good.extend(ids.into_iter().map(|id| (line, id)));
                    self.text.raw(format!("{{\"DeleteItem\":[{}]}}", items.join(",")));
                }
            }
        }
        self.made("JSONL in the shape of the body", "rows.jsonl", "account_delete")
    }

    pub(super) fn bomb_of_brackets(&mut self) -> Hostile {
        self.good_json_line();
        let more = self.pick(0..9);
        self.text.bad(None, "[".repeat((16 << 20) + more));
        self.text.bad(None, "[".repeat(8 << 20));
        self.good_json_line();
        let mut file = self.made("a bomb of brackets", "rows.jsonl.zst", "account_delete");
        if let Content::Bytes(bytes) = &mut file.content {
            *bytes = zstd(bytes);
        }
        file
    }

    pub(super) fn json_list(&mut self) -> Hostile {
        let text = ["[{\"UserID\":\"a\"}]", "\n \n[", "[\n{\"UserID\":\"a\"}\n]"][self.pick(0..3)];
        Self::refused("one JSON list", "rows.jsonl", text, "is one JSON list")
    }

    pub(super) fn deep(&mut self) -> Hostile {
        let depth = self.pick(1..200_000);
        self.good_json_line();
        self.text.bad(None, format!("{{\"x\":{}", "[".repeat(depth)));
        self.text.bad(None, format!("{{\"x\":{}", "{\"x\":".repeat(depth)));
        self.text.bad(ID, format!("{{\"UserID\":{}{}}}", "[".repeat(depth), "]".repeat(depth)));
        self.good_json_line();
        self.made("deep JSON", "rows.jsonl", "account_delete")
    }
}
