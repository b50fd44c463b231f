//! What was counted, as a scraper reads it: OpenMetrics 1.0.0, or the text format that Prometheus had before (version 0.0.4).

use std::fmt;

use axum::body::Body;
use axum::response::Response;
use causeway_core::metrics::{Family, Kind, Sample, Unit, Value};
use causeway_core::{Error, Result};
use http::header::{ACCEPT, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit as WireUnit};

/// The media type of OpenMetrics.
const OPENMETRICS: &str = "application/openmetrics-text";
/// The same, with what there is to say of it.
const OPENMETRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What was counted, on its way out.
#[derive(Debug)]
struct Taken(Vec<Family>);

impl Collector for Taken {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for family in &self.0 {
            let unit = family.unit.map(|unit| match unit {
                Unit::Seconds => WireUnit::Seconds,
                Unit::Bytes => WireUnit::Bytes,
            });
            let kind = match family.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
                Kind::Info => MetricType::Info,
            };
            let mut metric = encoder.encode_descriptor(family.name, family.help, unit.as_ref(), kind)?;
            for sample in &family.samples {
                write_sample(&mut metric, sample)?;
            }
        }
        Ok(())
    }
}

fn write_sample(metric: &mut MetricEncoder<'_>, sample: &Sample) -> fmt::Result {
    if sample.value == Value::Said {
        return metric.encode_info(&sample.labels);
    }
    if sample.labels.is_empty() {
        return write_value(metric, &sample.value);
    }
    write_value(&mut metric.encode_family(&sample.labels)?, &sample.value)
}

fn write_value(metric: &mut MetricEncoder<'_>, value: &Value) -> fmt::Result {
    match value {
        Value::Whole(count) => metric.encode_counter::<NoLabelSet, u64, u64>(count, None),
        Value::Number(number) => metric.encode_gauge(number),
        Value::Buckets(read) => metric.encode_histogram::<NoLabelSet>(read.sum, read.count(), &read.buckets, None),
        Value::Said => Ok(()),
    }
}

/// Writes families in the format that a client wants most.
pub fn answer(families: Vec<Family>, request: &HeaderMap) -> Result<Response> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Taken(families)));
    let (mut page, open) = (String::new(), wants_openmetrics(request));
    let written = if open { text::encode(&mut page, &registry) } else { prometheus_text::encode(&mut page, &registry) };
    written.map_err(|error| Error::internal(format_args!("the metrics cannot be written: {error}")))?;
    let media_type = if open { OPENMETRICS_TYPE } else { prometheus_text::CONTENT_TYPE };
    let mut response = Response::new(Body::from(page));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// Whether a client asks for OpenMetrics, and for nothing else more (RFC 9110 section 12.5.1). Who names no media type gets the
/// older format, which every scraper and every person reads.
fn wants_openmetrics(request: &HeaderMap) -> bool {
    let asked: Vec<(String, f32)> = request
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(weighed)
        .collect();
    let weight =
        |wanted: &str| asked.iter().filter(|(name, _)| name == wanted).map(|(_, weight)| *weight).fold(0.0, f32::max);
    let open = weight(OPENMETRICS);
    open > 0.0 && open >= weight("text/plain")
}

/// A media type in lower case and its weight. None: of a version that is not written here.
fn weighed(item: &str) -> Option<(String, f32)> {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next()?.to_ascii_lowercase();
    let mut weight = 1.0;
    for parameter in parts {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match key.trim().to_ascii_lowercase().as_str() {
            "q" => weight = value.trim().parse().unwrap_or(0.0),
            "version" if name == OPENMETRICS && value.trim().trim_matches('"') != "1.0.0" => return None,
            _ => {}
        }
    }
    Some((name, weight))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use causeway_core::metrics::Buckets;
    use http_body_util::BodyExt as _;

    fn asking(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_str(accept).unwrap())])
    }

    #[test]
    fn the_older_format_is_for_who_does_not_ask_for_the_newer_one() {
        // As Prometheus 3 asks.
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                          application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;q=0.4,\
                          text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (accept, open) in [
            (prometheus, true),
            ("application/openmetrics-text", true),
            ("Application/OpenMetrics-Text; Version=1.0.0", true),
            ("application/openmetrics-text;version=2.0.0", false),
            ("application/openmetrics-text;q=0", false),
            ("application/openmetrics-text;q=0.3, text/plain;q=0.5", false),
            ("text/plain", false),
            ("*/*", false),
            ("", false),
        ] {
            assert_eq!(wants_openmetrics(&asking(accept)), open, "{accept}");
        }
        assert!(!wants_openmetrics(&HeaderMap::new()));
    }

    fn families() -> Vec<Family> {
        let read = Buckets { buckets: vec![(0.5, 2), (1.0, 0), (f64::INFINITY, 1)], sum: 7.25 };
        vec![
            Family::new("c_logins", "Logins.", Kind::Counter)
                .with([("protocol", "sftp".into())], Value::Whole(3))
                .with([("protocol", "a\"b\\c\nd".into())], Value::Whole(0)),
            Family::new("c_moved", "Content.", Kind::Counter).of(Unit::Bytes).with([], Value::Whole(5)),
            Family::new("c_build", "What runs.", Kind::Info).with([("version", "1.2.3".into())], Value::Said),
            Family::gauge("c_depth", "How much.", 2.0),
            Family::new("c_time", "How long.", Kind::Histogram).of(Unit::Seconds).with([], Value::Buckets(read)),
        ]
    }

    async fn page(accept: &str) -> (String, String) {
        let response = answer(families(), &asking(accept)).unwrap();
        let media_type = response.headers().get(CONTENT_TYPE).unwrap().to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (media_type, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn openmetrics_is_written_as_its_specification_says() {
        let (media_type, text) = page("application/openmetrics-text; version=1.0.0").await;
        assert_eq!(media_type, OPENMETRICS_TYPE);
        for line in [
            "# TYPE c_logins counter",
            "c_logins_total{protocol=\"sftp\"} 3",
            "c_logins_total{protocol=\"a\\\"b\\\\c\\nd\"} 0",
            "# UNIT c_moved_bytes bytes",
            "c_moved_bytes_total 5",
            "# TYPE c_build info",
            "c_build_info{version=\"1.2.3\"} 1",
            "c_depth 2.0",
            "c_time_seconds_bucket{le=\"0.5\"} 2",
            "c_time_seconds_bucket{le=\"1.0\"} 2",
            "c_time_seconds_bucket{le=\"+Inf\"} 3",
            "c_time_seconds_count 3",
            "c_time_seconds_sum 7.25",
        ] {
            assert!(text.lines().any(|one| one == line), "no `{line}` in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[tokio::test]
    async fn the_older_format_names_counters_whole() {
        let (media_type, text) = page("text/plain").await;
        assert_eq!(media_type, "text/plain; version=0.0.4; charset=utf-8");
        for line in
            ["# TYPE c_logins_total counter", "c_logins_total{protocol=\"sftp\"} 3", "# TYPE c_build_info gauge"]
        {
            assert!(text.lines().any(|one| one == line), "no `{line}` in\n{text}");
        }
        assert!(!text.contains("# EOF") && !text.contains("# UNIT"), "{text}");
    }
}
