//! Single measurements, as `figures.csv` contains them, and the figures that are calculated from them.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Fallible;

/// One measure of one run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) scenario: String,
    pub(crate) case: String,
    pub(crate) who: String,
    pub(crate) round: u32,
    pub(crate) measure: String,
    pub(crate) value: f64,
}

/// All measurements of a session, and earlier ones of the scenarios that it left out.
#[derive(Debug, Default)]
pub(crate) struct Measurements(Vec<Measurement>);

/// Scenario, case, program, measure.
pub(crate) type Place<'a> = (&'a str, &'a str, &'a str, &'a str);

impl Measurements {
    /// Reads the measurements of an earlier session, without these scenarios.
    pub(crate) fn read_without(path: &Path, scenarios: &[&str]) -> Fallible<Self> {
        if !path.exists() {
            return Ok(Self::default());
        }
        let mut reader = csv::Reader::from_path(path)?;
        let all = reader.deserialize().collect::<Result<Vec<Measurement>, _>>()?;
        // A measurement of the machine has the scenario as its case.
        let of = |measurement: &Measurement| {
            if measurement.scenario == "machine" { measurement.case.clone() } else { measurement.scenario.clone() }
        };
        Ok(Self(all.into_iter().filter(|measurement| !scenarios.contains(&of(measurement).as_str())).collect()))
    }

    pub(crate) fn write(&self, path: &Path) -> Fallible<()> {
        let mut writer = csv::Writer::from_path(path)?;
        self.0.iter().try_for_each(|measurement| writer.serialize(measurement))?;
        Ok(writer.flush()?)
    }

    pub(crate) fn add(&mut self, (scenario, case, who, measure): Place<'_>, round: u32, value: f64) {
        println!("    {scenario} {case}: {who}, {measure} = {}", significant(value));
        self.0.push(Measurement {
            scenario: scenario.to_owned(),
            case: case.to_owned(),
            who: who.to_owned(),
            round,
            measure: measure.to_owned(),
            value,
        });
    }

    fn values(&self, (scenario, case, who, measure): Place<'_>) -> Vec<(u32, f64)> {
        let here = |measurement: &&Measurement| {
            measurement.scenario == scenario
                && measurement.case == case
                && measurement.who == who
                && measurement.measure == measure
        };
        self.0.iter().filter(here).map(|measurement| (measurement.round, measurement.value)).collect()
    }

    /// The median of all rounds.
    pub(crate) fn median(&self, place: Place<'_>) -> Option<f64> {
        median(self.values(place).into_iter().map(|(_, value)| value).collect())
    }

    /// The median of the ratios of one to the other, round by round.
    pub(crate) fn ratio(&self, above: Place<'_>, below: Place<'_>) -> Option<f64> {
        let below = self.values(below);
        let ratio = |(round, value): (u32, f64)| {
            let (_, other) = below.iter().find(|(other, _)| *other == round)?;
            Some(value / other)
        };
        median(self.values(above).into_iter().filter_map(ratio).collect())
    }

    /// The largest of all rounds.
    pub(crate) fn largest(&self, place: Place<'_>) -> Option<f64> {
        self.values(place).into_iter().map(|(_, value)| value).max_by(f64::total_cmp)
    }

    /// The number of rounds.
    pub(crate) fn rounds(&self, place: Place<'_>) -> usize {
        self.values(place).iter().map(|(round, _)| round).collect::<BTreeSet<_>>().len()
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some(f64::midpoint(values[middle - 1], values[middle])),
    }
}

/// A number with three significant digits, and thousands where they help.
pub(crate) fn significant(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size >= 1e6 {
        format!("{:.2} M", value / 1e6)
    } else if size >= 1e4 {
        format!("{:.1} k", value / 1e3)
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}
