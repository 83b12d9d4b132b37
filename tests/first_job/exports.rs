//! Exports as databases, spreadsheets and programs write them.

use std::io::Write;

/// A file that a user may have, and the job that is written for it.
pub(crate) struct Export {
    /// The name of the file.
    pub(crate) file: &'static str,
    /// The operation of the job.
    pub(crate) operation: &'static str,
    /// The bytes of the file.
    pub(crate) bytes: Vec<u8>,
    /// Lines that the job must have.
    pub(crate) lines: &'static [&'static str],
}

fn text(file: &'static str, operation: &'static str, text: &str, lines: &'static [&'static str]) -> Export {
    Export { file, operation, bytes: text.into(), lines }
}

fn gbk(text: &str) -> Vec<u8> {
    encoding_rs::GBK.encode(text).0.into_owned()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).expect("memory takes every byte");
    encoder.finish().expect("memory takes every byte")
}

/// 2,500 rows of a data team: three are bad, and some occur twice.
fn nightly() -> String {
    let mut rows = "user_id,created_at,plan\n".to_owned();
    for n in 0..2500 {
        match n {
            700 | 1400 | 2100 => rows.push_str(",2024-05-01,trial\n"),
            _ => rows.push_str(&format!("trial_{:05},2024-05-01 03:00:{:02},trial\n", n % 2400, n % 60)),
        }
    }
    rows
}

/// At least twenty files; the rows of each can be sent.
pub(crate) fn exports() -> Vec<Export> {
    [accounts(), friend_lists(), pairs(), updates(), jsonl()].into_iter().flatten().collect()
}

fn accounts() -> Vec<Export> {
    let delete = "account_delete";
    vec![
        text("plain.csv", delete, "UserID\nu1\nu2\n", &["path = \"plain.csv\""]),
        text("nightly.csv", delete, &nightly(), &["UserID = \"user_id\"", "max_rejected = 0.01", "max_items = 2_800"]),
        // MySQL: SELECT … INTO OUTFILE, and `mysql -B`.
        text("mysql.csv", delete, "\"id\",\"mail\",\"deleted_at\"\n\"1001\",\"a@b.c\",\\N\n", &["UserID = \"id\""]),
        text(
            "mysql-b.tsv",
            delete,
            "uid\tname\tcreated_at\n1001\tAnn\t2024-01-01\n1002\tBob\tNULL\n",
            &["UserID = \"uid\"", "# delimiter = \"tab\""],
        ),
        // Hive: the table's name before each column, and tabs without an extension.
        text("hive_000000_0", delete, "t.user_id\tt.dt\nu1\t20240501\nu2\t20240501\n", &["UserID = \"t.user_id\""]),
        // Excel: "CSV UTF-8" with a byte order mark, and the semicolons of Europe.
        text(
            "excel.csv",
            delete,
            "\u{feff}User ID,Name\r\nu1,Ann\r\nu2,\"Bob, the second\"\r\n",
            &["UserID = \"User ID\""],
        ),
        text("excel-eu.csv", delete, "\u{feff}User ID;Betrag\r\nu1;1,50\r\nu2;2,00\r\n", &["# delimiter = \";\""]),
        Export {
            file: "excel-zh.csv",
            operation: delete,
            bytes: gbk("用户编号,昵称,备注\r\nu1,张三丰,武当派\r\nu2,小龙女,古墓派\r\n"),
            lines: &["encoding = \"gbk\"", "UserID = \"用户编号\""],
        },
        text("utf8-zh.csv", delete, "用户ID,昵称\nu1,张三\n用户2,李四\n", &["UserID = \"用户ID\""]),
        text("pipes.txt", delete, "user_id|mail|city\nu1|a@b.c|Oslo\nu2|d@e.f|Rio\n", &["# delimiter = \"|\""]),
        Export {
            file: "packed.csv.gz",
            operation: delete,
            bytes: gzip(b"account_id,mail\nu1,a@b.c\nu2,d@e.f\n"),
            lines: &["UserID = \"account_id\""],
        },
        Export {
            file: "packed.tsv.zst",
            operation: delete,
            bytes: zstd::encode_all(&b"im_user_id\tx\nu1\t1\nu2\t2\n"[..], 1).expect("memory takes every byte"),
            lines: &["UserID = \"im_user_id\""],
        },
        text(
            "no line end.csv",
            delete,
            "userId,note\nu1,\nu2,x",
            &["path = \"no line end.csv\"", "UserID = \"userId\""],
        ),
        text("rows[1].csv", delete, "user-id\nu1\n", &["UserID = \"user-id\""]),
        // imbulk's own results, with one failed row.
        text(
            "results.csv",
            delete,
            "source,line,UserID,outcome,code,reason,attempts,finished_at\na.csv,2,u1,failed,70500,x,8,\n",
            &["path = \"results.csv\""],
        ),
    ]
}

fn friend_lists() -> Vec<Export> {
    vec![
        text("leavers.csv", "friend_delete_all", "From_Account\nu1\nu2\n", &["protected = \"job.protected.txt\""]),
        text("members.csv", "friend_delete_all", "uid,left_at\nu1,2024\nu2,2024\n", &["From_Account = \"uid\""]),
    ]
}

fn pairs() -> Vec<Export> {
    vec![
        text(
            "pairs.csv",
            "friend_delete",
            "user_id,friend_id,since\nu1,u2,2020\nu1,u3,2021\nu2,u1,2020\n",
            &["From_Account = \"user_id\"", "To_Account = \"friend_id\"", "delete_type = \"single\""],
        ),
        text("edges.tsv", "friend_delete", "from_uid\tto_uid\nu1\tu2\nu3\tu4\n", &["To_Account = \"to_uid\""]),
    ]
}

fn updates() -> Vec<Export> {
    vec![
        text(
            "remarks.csv",
            "friend_update",
            "owner,friend,remark,groups\nu1,u2,Bob,work|vip\nu1,u3,Eve,\n",
            &["Tag_SNS_IM_Remark = \"remark\"", "Tag_SNS_IM_Group = \"groups\""],
        ),
        text(
            "levels.csv",
            "friend_update",
            "From_Account;To_Account;Tag_SNS_Custom_Level\nu1;u2;3\nu1;u3;4\n",
            &["# delimiter = \";\""],
        ),
        text(
            "contacts.csv",
            "friend_import",
            "owner,friend,备注,groups,add_source,added_at,since\n\
             u1,u2,Bob,work|vip,AddSource_Type_Android,1420000001,2015\nu1,u3,,,AddSource_Type_Web,1577836800,2020\n",
            &["AddSource = \"add_source\"", "Remark = \"备注\"", "GroupName = \"groups\"", "AddTime = \"added_at\""],
        ),
        text(
            "users.csv",
            "account_import",
            "uid,昵称,avatar,created_at\nu1,Ada,https://example.com/1.png,2015-01-01\nu2,,,2016-01-01\n",
            &["UserID = \"uid\"", "Nick = \"昵称\"", "FaceUrl = \"avatar\""],
        ),
    ]
}

fn jsonl() -> Vec<Export> {
    vec![
        text(
            "flat.jsonl",
            "account_delete",
            "{\"uid\":\"u1\",\"age\":3}\n{\"age\":4,\"uid\":\"u2\"}\n",
            &["UserID = \"uid\""],
        ),
        text(
            "bodies.ndjson",
            "account_delete",
            "{\"DeleteItem\":[{\"UserID\":\"u1\"},{\"UserID\":\"u2\"}]}\n{\"DeleteItem\":[{\"UserID\":\"u3\"}]}\n",
            &["path = \"bodies.ndjson\""],
        ),
        text(
            "pairs.jsonl",
            "friend_delete",
            "{\"From_Account\":\"u1\",\"To_Account\":[\"u2\",\"u3\"]}\n\
             {\"From_Account\":\"u2\",\"To_Account\":\"u1\"}\n",
            &["path = \"pairs.jsonl\""],
        ),
        text(
            "imports.jsonl",
            "friend_import",
            "{\"From_Account\":\"u1\",\"AddFriendItem\":[{\"To_Account\":\"u2\",\"AddSource\":\"AddSource_Type_Web\",\
             \"CustomItem\":[{\"Tag\":\"Tag_SNS_Custom_Level\",\"Value\":3}]}]}\n",
            &["path = \"imports.jsonl\""],
        ),
        Export {
            file: "updates.json.gz",
            operation: "friend_update",
            bytes: gzip(
                b"{\"From_Account\":\"u1\",\"UpdateItem\":[{\"To_Account\":\"u2\",\"SnsItem\":\
                  [{\"Tag\":\"Tag_SNS_IM_Remark\",\"Value\":\"x\"}]}]}\n",
            ),
            lines: &["path = \"updates.json.gz\""],
        },
    ]
}
