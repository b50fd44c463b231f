//! Counters and histograms on atomic numbers, and series of them by the values of their labels.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::family::{Buckets, Sample, Value};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to it.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn one(&self) {
        self.add(1);
    }

    /// What it is now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long things took, by how many took no longer than each of some bounds.
#[derive(Debug)]
pub struct Histogram {
    /// In seconds, ascending.
    bounds: &'static [f64],
    /// Of each bound those that are above the one before; behind them what is above all.
    counts: Box<[AtomicU64]>,
    nanos: AtomicU64,
}

impl Histogram {
    /// With these bounds, in seconds, ascending.
    pub fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, nanos: AtomicU64::new(0) }
    }

    /// Counts one that took so long.
    pub fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let place = self.bounds.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.nanos.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What it is now.
    pub fn read(&self) -> Buckets {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        Buckets {
            buckets: bounds.zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed))).collect(),
            sum: Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64(),
        }
    }
}

/// Measures from when it is made until it is dropped.
#[derive(Debug)]
pub struct Timer {
    histogram: Arc<Histogram>,
    began: Instant,
}

impl Timer {
    /// One that has begun then.
    pub const fn since(began: Instant, histogram: Arc<Histogram>) -> Self {
        Self { histogram, began }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.histogram.observe(self.began.elapsed());
    }
}

/// Instruments of one kind, one for each combination of the values of their labels that has come up. The values are to be few:
/// nothing is ever forgotten.
#[derive(Debug)]
pub struct Series<const N: usize, M> {
    labels: [&'static str; N],
    make: fn() -> M,
    made: RwLock<BTreeMap<[Cow<'static, str>; N], Arc<M>>>,
}

impl<const N: usize, M> Series<N, M> {
    /// With labels of these names. Nothing has come up yet.
    pub const fn new(labels: [&'static str; N], make: fn() -> M) -> Self {
        Self { labels, make, made: RwLock::new(BTreeMap::new()) }
    }

    /// The one with these values, in the order of the labels.
    pub fn at(&self, values: [Cow<'static, str>; N]) -> Arc<M> {
        if let Some(found) = self.made.read().unwrap_or_else(PoisonError::into_inner).get(&values) {
            return found.clone();
        }
        let mut made = self.made.write().unwrap_or_else(PoisonError::into_inner);
        made.entry(values).or_insert_with(|| Arc::new((self.make)())).clone()
    }

    /// The same for values that are words of the program.
    pub fn at_words(&self, values: [&'static str; N]) -> Arc<M> {
        self.at(values.map(Cow::Borrowed))
    }

    /// All of them as they are now.
    pub(super) fn samples(&self, value: impl Fn(&M) -> Value) -> Vec<Sample> {
        let made = self.made.read().unwrap_or_else(PoisonError::into_inner);
        made.iter()
            .map(|(values, one)| Sample {
                labels: self.labels.into_iter().zip(values.iter().cloned()).collect(),
                value: value(one),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_part_of_its_bucket() {
        let histogram = Histogram::new(&[0.5, 1.0]);
        for millis in [0, 500, 501, 1000, 1001, 90_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let read = histogram.read();
        assert_eq!(read.buckets, [(0.5, 2), (1.0, 2), (f64::INFINITY, 2)]);
        assert_eq!(read.count(), 6);
        assert!((read.sum - 93.002).abs() < 1e-9, "{}", read.sum);
    }

    #[test]
    fn a_timer_measures_until_it_is_dropped() {
        let histogram = Arc::new(Histogram::new(&[]));
        let timer = Timer::since(Instant::now(), histogram.clone());
        assert_eq!(histogram.read().count(), 0);
        drop(timer);
        assert_eq!(histogram.read().count(), 1);
    }

    #[test]
    fn the_same_values_are_the_same_instrument() {
        let series: Series<2, Counter> = Series::new(["a", "b"], Counter::default);
        series.at_words(["x", "y"]).one();
        series.at(["x".to_owned().into(), "y".into()]).add(2);
        series.at_words(["x", "z"]).one();
        let samples = series.samples(|counter| Value::Whole(counter.get()));
        let shown: Vec<_> = samples.iter().map(|sample| (sample.labels.as_slice(), &sample.value)).collect();
        assert_eq!(
            shown,
            [
                ([("a", "x".into()), ("b", "y".into())].as_slice(), &Value::Whole(3)),
                ([("a", "x".into()), ("b", "z".into())].as_slice(), &Value::Whole(1)),
            ]
        );
    }
}
