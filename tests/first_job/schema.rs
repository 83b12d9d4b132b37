//! `imbulk schema job`: the schema accepts what the program accepts, and refuses mistakes.

use imbulk::settings::job_schema;
use imbulk_testkit::Workspace;
use serde_json::Value;

/// What the schema says against a job file.
pub(crate) fn violations(job: &str) -> Vec<String> {
    let job: toml::Table = toml::from_str(job).unwrap_or_else(|error| panic!("{error} in\n{job}"));
    let job = serde_json::to_value(job).expect("a job file has no dates");
    let schema = jsonschema::validator_for(&job_schema()).expect("a schema");
    schema.iter_errors(&job).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

fn shipped() -> Vec<(String, String)> {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/jobs")).expect("the jobs");
    let files = folder.map(|file| file.expect("readable").path());
    let jobs = files.filter(|file| file.extension().is_some_and(|end| end == "toml"));
    jobs.map(|file| (file.display().to_string(), std::fs::read_to_string(&file).expect("text"))).collect()
}

#[test]
fn the_schema_accepts_the_jobs_of_the_repository() {
    let jobs = shipped();
    assert!(jobs.len() >= 5, "{jobs:?}");
    for (file, job) in jobs {
        assert_eq!(violations(&job), [""; 0], "{file}");
    }
}

#[test]
fn the_schema_refuses_wrong_keys_and_values() {
    let job =
        "name = \"a\"\noperation = \"friend_delete\"\n[input]\npath = \"a.csv\"\n[options]\ndelete_type = \"both\"\n";
    assert_eq!(violations(job), [""; 0]);
    for (right, wrong) in [
        ("name = \"a\"", "name = \"a b\""),
        ("name = \"a\"\n", ""),
        ("friend_delete", "friend_remove"),
        ("path = \"a.csv\"", "paths = \"a.csv\""),
        ("path = \"a.csv\"", "path = \"a.csv\"\ncolumns = { UserID = \"uid\" }"),
        ("path = \"a.csv\"", "path = \"a.csv\"\ndelimiter = \":\""),
        ("[options]\ndelete_type = \"both\"\n", ""),
        ("\"both\"", "\"all\""),
        ("[options]", "[app]\nregion = \"mars\"\n[options]"),
        ("[options]", "[app]\nregion = \"seoul\"\nendpoint = \"https://x\"\n[options]"),
        ("[options]", "[guard]\nmax_itmes = 3\n[options]"),
        ("[options]", "[guard]\nmax_items = 0\n[options]"),
        ("[options]", "[guard]\nprotected = [\"a\"]\n[options]"),
        ("[options]", "[stop]\nuntil = \"6:00\"\n[options]"),
        ("[options]", "[stop]\nfailed_share = 5\n[options]"),
        ("[options]", "[stop]\nwindow = \"2-6\"\n[options]"),
        ("[options]", "[stop]\nwindow = \"02:00-06:00\"\nuntil = \"06:00\"\n[options]"),
        ("operation = \"friend_delete\"", "operation = \"account_delete\""),
    ] {
        assert!(job.contains(right));
        let job = job.replace(right, wrong);
        assert_ne!(violations(&job), [""; 0], "accepted:\n{job}");
    }
    let custom = |name: &str| {
        job.replace("friend_delete", "friend_update").replace("[options]\ndelete_type = \"both\"\n", "")
            + &format!("columns = {{ {name} = \"x\" }}\n")
    };
    assert_eq!(violations(&custom("Tag_SNS_Custom_Vip")), [""; 0]);
    assert_ne!(violations(&custom("Tag_SNS_Custom_v1")), [""; 0]);
}

#[test]
fn the_command_prints_the_schema_and_init_writes_the_same() {
    let workspace = Workspace::new();
    let printed = workspace.imbulk(&["schema", "job"]).expect(0).stdout;
    let printed: Value = serde_json::from_str(&printed).expect("JSON");
    assert_eq!(printed, job_schema());
    workspace.imbulk(&["init", "job", "--operation", "friend_update"]).expect(0);
    let written = std::fs::read_to_string(workspace.path("imbulk-job.schema.json")).expect("it was written");
    assert_eq!(serde_json::from_str::<Value>(&written).expect("JSON"), printed);
    let job = std::fs::read_to_string(workspace.path("job.toml")).expect("it was written");
    assert!(job.starts_with("#:schema ./imbulk-job.schema.json\n"), "editors look at the first line: {job}");
    workspace.imbulk(&["schema", "jobs"]).expect(2);
}
