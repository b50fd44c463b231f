//! What was counted, as it was at one moment, in the terms of OpenMetrics and of no wire format.

use std::borrow::Cow;

use super::instrument::{Counter, Histogram, Series};

/// What kind of numbers a family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They go up and down.
    Gauge,
    /// Counts by bounds.
    Histogram,
    /// Texts, in labels.
    Info,
}

/// A base unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Of time.
    Seconds,
    /// Of content.
    Bytes,
}

/// A histogram's numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Buckets {
    /// Bounds, ascending, the last one infinite; and how many are within each and above the one before.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all.
    pub sum: f64,
}

impl Buckets {
    /// How many there are.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Of a counter.
    Whole(u64),
    /// Of a gauge.
    Number(f64),
    /// Of a histogram.
    Buckets(Buckets),
    /// Of an info: its labels say it.
    Said,
}

/// One value, with what tells it from the others of its family.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Names and values.
    pub labels: Vec<(&'static str, Cow<'static, str>)>,
    /// The value.
    pub value: Value,
}

/// Values of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Its name, without the unit and without what a kind adds to it (`_total`, `_info`).
    pub name: &'static str,
    /// A sentence.
    pub help: &'static str,
    /// What kind of numbers it has.
    pub kind: Kind,
    /// What they are of, if not a mere count.
    pub unit: Option<Unit>,
    /// The values.
    pub samples: Vec<Sample>,
}

impl Family {
    /// One without values.
    pub const fn new(name: &'static str, help: &'static str, kind: Kind) -> Self {
        Self { name, help, kind, unit: None, samples: Vec::new() }
    }

    /// A series of counters.
    pub fn counter<const N: usize>(name: &'static str, help: &'static str, series: &Series<N, Counter>) -> Self {
        let samples = series.samples(|counter| Value::Whole(counter.get()));
        Self { samples, ..Self::new(name, help, Kind::Counter) }
    }

    /// A series of histograms, of seconds.
    pub fn histogram<const N: usize>(name: &'static str, help: &'static str, series: &Series<N, Histogram>) -> Self {
        let samples = series.samples(|histogram| Value::Buckets(histogram.read()));
        Self { samples, ..Self::new(name, help, Kind::Histogram).of(Unit::Seconds) }
    }

    /// A gauge of one number.
    pub fn gauge(name: &'static str, help: &'static str, number: f64) -> Self {
        Self::new(name, help, Kind::Gauge).with([], Value::Number(number))
    }

    /// The same in a unit.
    #[must_use]
    pub const fn of(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// The same with one value more.
    #[must_use]
    pub fn with<const N: usize>(mut self, labels: [(&'static str, Cow<'static, str>); N], value: Value) -> Self {
        self.samples.push(Sample { labels: labels.into(), value });
        self
    }
}

/// Something beside core that counts.
pub trait Source: Send + Sync {
    /// What it has counted. It is asked at each scrape, and must not wait for anything.
    fn families(&self) -> Vec<Family>;
}
