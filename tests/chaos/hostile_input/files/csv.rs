//! CSV files that no program writes on purpose.

use imbulk::domain::job::Encoding;
use rand::RngExt;

use super::{Expect, Hostile, ID, Writer};

impl Writer {
    /// Good and bad lines below the header `UserID,note`, with this delimiter.
    pub(super) fn csv_lines(&mut self, count: usize, between: char) {
        self.text.raw(format!("UserID{between}note"));
        for _ in 0..count {
            if self.rng.random_ratio(1, 3) { self.bad_csv_line(between) } else { self.good_csv_line(between) }
        }
    }

    pub(super) fn good_csv_line(&mut self, d: char) {
        let id = self.id();
        let line = match self.pick(0..6) {
            0 => format!("{id}{d}").into_bytes(),
            1 => format!("\"{id}\"{d}\"say \"\"hi\"\"\"").into_bytes(),
            2 => format!("{id}{d}\"two\nlines{d}and more\"").into_bytes(),
            3 => [format!("{id}{d}").as_bytes(), b"\xff\xc0 no text and no matter"].concat(),
            4 => format!("{id}{d}a \"quote\" within").into_bytes(),
            _ => format!("{id}{d}用户 😀 \u{202e}").into_bytes(),
        };
        self.text.good(&id, line);
    }

    pub(super) fn bad_csv_line(&mut self, d: char) {
        let (column, line) = match self.pick(0..15) {
            0 => (ID, format!("{d}x").into_bytes()),
            1 => (ID, format!("{}{d}x", "x".repeat(33)).into_bytes()),
            2 => (ID, format!("bell\u{7}{d}x").into_bytes()),
            3 => (ID, format!("nul\0{d}x").into_bytes()),
            4 => (ID, format!(" padded{d}x").into_bytes()),
            5 => (None, b"alone".to_vec()),
            6 => (None, format!("a{d}b{d}c").into_bytes()),
            7 => (None, format!("\"bob\"by{d}x").into_bytes()),
            8 => (ID, [b"\xff\xfe\xc3\x28".as_slice(), format!("{d}x").as_bytes()].concat()),
            9 => (None, format!("UserID{d}note").into_bytes()),
            10 => (ID, format!("half\rway{d}x").into_bytes()),
            11 => (ID, format!("\"two\nlines\"{d}x").into_bytes()),
            12 => (ID, format!("next\u{85}line{d}x").into_bytes()),
            // A row with only delimiters would be skipped.
            13 => (None, format!("x{}", d.to_string().repeat(500)).into_bytes()),
            _ => (ID, format!("\"{}\"{d}x", "\"\"".repeat(200)).into_bytes()),
        };
        self.text.bad(column, line);
    }

    pub(super) fn csv(&mut self) -> Hostile {
        let between = [',', ';', '\t'][self.pick(0..3)];
        let count = self.pick(1..60);
        self.csv_lines(count, between);
        if self.rng.random() {
            self.text.bytes.pop();
        }
        self.made("CSV with good and bad lines", "rows.csv", "account_delete")
    }

    pub(super) fn wild_csv(&mut self) -> Hostile {
        let file = self.csv();
        self.wild(file, "CSV with bytes changed anywhere")
    }

    /// Some lines are damaged, but not in their quotes and line ends, so the other lines must be read. No byte starts a
    /// UTF-8 character: beside bytes that are not UTF-8, an id with such a character refuses the file.
    pub(super) fn touched_csv(&mut self) -> Hostile {
        self.text.raw("UserID,note");
        for _ in 0..self.pick(2..50) {
            let id = self.id();
            if self.rng.random_ratio(1, 4) {
                let mut line = format!("{id},x").into_bytes();
                for _ in 0..self.pick(1..5) {
                    let at = self.pick(0..line.len());
                    line[at] = loop {
                        let byte = self.rng.random();
                        if !matches!(byte, b'"' | b'\n' | 0xc2..=0xf4) {
                            break byte;
                        }
                    };
                }
                self.text.raw(line);
            } else {
                self.text.good(&id, format!("{id},x"));
            }
        }
        let mut file = self.made("CSV with damaged lines", "rows.csv", "account_delete");
        if let Expect::Exactly(good, _) = file.expect {
            file.expect = Expect::AtLeast(good);
        }
        file
    }

    /// One quote is opened and never closed. The text after it may be a cell, so no row of the file is used.
    pub(super) fn stray_quote(&mut self) -> Hostile {
        self.text.raw("UserID,note");
        let (count, stray) = (self.pick(1..40), self.pick(0..40));
        for number in 0..=count {
            if number == stray.min(count) {
                let line = ["\"x,y", "x,\"y", "\"", "x,\"y\"\""][self.pick(0..4)];
                self.text.bad(None, line);
            }
            let id = self.id();
            self.text.good(&id, format!("{id},x"));
        }
        let file = self.made("CSV with a stray quote", "rows.csv", "account_delete");
        Hostile { expect: Expect::Refused("a quoted cell starts in this row and is not closed"), ..file }
    }

    pub(super) fn updates_csv(&mut self) -> Hostile {
        const REMARK: Option<&str> = Some("Tag_SNS_IM_Remark");
        const GROUP: Option<&str> = Some("Tag_SNS_IM_Group");
        self.text.raw("From_Account,To_Account,Tag_SNS_IM_Remark,Tag_SNS_IM_Group");
        for _ in 0..self.pick(1..40) {
            let (id, to) = (self.id(), Some("To_Account"));
            match self.pick(0..12) {
                0 => self.text.bad(REMARK, format!("a,b,{},", "r".repeat(97))),
                1 => self
                    .text
                    .bad(GROUP, format!("a,b,,{}", (0..40).map(|n| n.to_string()).collect::<Vec<_>>().join("|"))),
                2 => self.text.bad(GROUP, "a,b,,g||h"),
                3 => self.text.bad(None, "a,b,,"),
                4 => self.text.bad(to, "a,a,r,"),
                5 => self.text.bad(Some("From_Account"), ",b,r,"),
                6 => self.text.bad(REMARK, b"a,b,\xff,"),
                _ => self.text.good(&id, format!("a,{id},r,g|h|g")),
            }
        }
        self.made("CSV of updates", "rows.csv", "friend_update")
    }

    pub(super) fn gbk(&mut self) -> Hostile {
        self.text.raw("UserID,note");
        for n in 0..self.pick(1..40) {
            match self.pick(0..5) {
                0 => self.text.bad(ID, b"\xff\xff,x"),
                1 => self.text.bad(ID, b"cut\x81,x"),
                _ => {
                    let id = format!("用户{n}");
                    let (line, _, _) = encoding_rs::GBK.encode(&id);
                    self.text.good(&id, [&line, b",\x81\x20".as_slice()].concat());
                }
            }
        }
        Hostile { encoding: Encoding::Gbk, ..self.made("GBK", "rows.csv", "account_delete") }
    }

    pub(super) fn mark(&mut self) -> Hostile {
        self.csv_lines(20, ',');
        self.text.bytes.splice(0..0, *b"\xef\xbb\xbf");
        self.made("a byte order mark", "rows.csv", "account_delete")
    }

    pub(super) fn line_ends(&mut self) -> Hostile {
        self.text.raw("UserID,note\r");
        for _ in 0..self.pick(1..50) {
            let id = self.id();
            match self.pick(0..4) {
                0 => self.text.good(&id, format!("{id},x\r")),
                1 => self.text.good(&id, format!("\"{id}\",\"x\"\r")),
                2 => self.text.bad(None, format!("{id},x\rb,y")),
                _ => self.text.good(&id, format!("{id},x")),
            }
        }
        self.made("mixed line ends", "rows.csv", "account_delete")
    }

    pub(super) fn long_cells(&mut self) -> Hostile {
        self.text.raw("UserID,note");
        for _ in 0..3 {
            let id = self.id();
            self.text.good(&id, format!("{id},{}", "y".repeat(900_000)));
            let more = self.pick(0..9000);
            self.text.bad(None, format!("b,{}", "z".repeat((1 << 20) + more)));
            self.text.bad(ID, format!("{},x", "i".repeat(1_000_000)));
        }
        self.made("cells of a megabyte", "rows.csv", "account_delete")
    }

    pub(super) fn blank_lines(&mut self) -> Hostile {
        let blank = self.pick(1..100_000);
        self.text.raw("UserID,note");
        self.text.raw("\r\n".repeat(blank / 2) + &"\n".repeat(blank));
        self.csv_line_behind();
        self.made("a hundred thousand blank lines", "rows.csv", "account_delete")
    }

    pub(super) fn csv_line_behind(&mut self) {
        let id = self.id();
        self.text.good(&id, format!("{id},x"));
    }

    pub(super) fn wide(&mut self) -> Hostile {
        let columns = self.pick(1000..20_000);
        self.text.raw(format!("UserID{}", ",c".repeat(columns)));
        for _ in 0..5 {
            let id = self.id();
            self.text.good(&id, format!("{id}{}", ",".repeat(columns)));
            self.text.bad(None, format!("x{}", ",".repeat(columns - 1)));
        }
        self.made("thousands of columns", "rows.csv", "account_delete")
    }

    pub(super) fn no_header(&mut self) -> Hostile {
        let rows = "user_1,x\n".repeat(self.pick(1..20));
        Self::refused("no header", "rows.csv", rows, "rows.csv:1: has no column `UserID`")
    }

    pub(super) fn header_alone(&mut self) -> Hostile {
        let header = ["UserID", "UserID,note\r", "\n\nUserID;note"][self.pick(0..3)];
        self.text.raw(header);
        self.made("a header alone", "rows.csv", "account_delete")
    }

    pub(super) fn double_column(&mut self) -> Hostile {
        let text = ["UserID,UserID\na,b\n", "UserID;x;UserID\na;b;c\n"][self.pick(0..2)];
        Self::refused("a column twice", "rows.csv", text, "rows.csv:1: has two columns for `UserID`")
    }

    pub(super) fn broken_header(&mut self) -> Hostile {
        let text = ["\"UserID\na\nb\n", "\"User\"ID,x\na,b\n", "UserID\ra\rb\r", "UserID,\"x\na,b\n"][self.pick(0..4)];
        Self::refused("a broken header", "rows.csv", text, "rows.csv:1: ")
    }

    pub(super) fn foreign_column(&mut self) -> Hostile {
        let (operation, header) = [
            ("friend_update", "From_Account,To_Account,Tag_SNS_IM_Remarks"),
            ("friend_update", "From_Account,To_Account,tag_sns_im_remark"),
            ("friend_delete", "From_Account,To_Account,DeleteType"),
        ][self.pick(0..3)];
        let file = Self::refused(
            "a column that means something else",
            "rows.csv",
            format!("{header}\na,b,c\n"),
            "rows.csv:1: ",
        );
        Hostile { operation, ..file }
    }
}
