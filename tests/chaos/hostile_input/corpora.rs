//! Every test run checks the properties of the fuzz targets on their seeds. Inputs that once broke a property are
//! seeds.

use std::fs;
use std::path::Path;

use imbulk_fixtures::properties;

#[test]
fn the_seeds_of_the_fuzz_targets_keep_all_properties() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (target, holds) in properties::ALL {
        let mut files: Vec<_> =
            fs::read_dir(seeds.join(target)).expect("seeds").map(|file| file.expect("one").path()).collect();
        files.sort();
        assert!(files.len() >= 7, "{target} has only {} seeds", files.len());
        for file in files {
            println!("{}", file.display());
            holds(&fs::read(file).expect("a seed"));
        }
    }
}
