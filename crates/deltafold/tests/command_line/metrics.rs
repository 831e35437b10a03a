//! What a server says of itself to Prometheus.

use std::collections::BTreeMap;

use super::place::{Place, Server, a_day_in_the_shop};

/// A sample's value, by its name with labels; and the types that were declared.
struct Scraped {
    samples: BTreeMap<String, f64>,
    types: BTreeMap<String, String>,
}

/// Parses the text format, and holds it to its rules: each family has a help and a type before its samples, and
/// counters end in `_total`.
fn scraped(text: &str) -> Scraped {
    let (mut samples, mut types, mut helped) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
    for line in text.lines().filter(|line| !line.is_empty()) {
        if let Some(help) = line.strip_prefix("# HELP ") {
            helped.push(help.split_once(' ').unwrap().0.to_owned());
        } else if let Some(declared) = line.strip_prefix("# TYPE ") {
            let (name, kind) = declared.split_once(' ').unwrap();
            assert_eq!(helped.last().map(String::as_str), Some(name), "{line}");
            assert!(kind != "counter" || name.ends_with("_total"), "{line}");
            types.insert(name.to_owned(), kind.to_owned());
        } else {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let name = sample.split('{').next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
            assert!(types.contains_key(family) || types.contains_key(name), "{line}");
            samples.insert(sample.to_owned(), value.parse().unwrap());
        }
    }
    Scraped { samples, types }
}

#[test]
fn every_metric_is_there_after_some_reads() {
    let place = Place::new();
    place.write("orders.jsonl", &a_day_in_the_shop());
    place.write("deltafold.toml", "[sources.shop]\nkind = \"files\"\nfiles = [\"orders.jsonl\"]\n");
    let server = Server::start(&place, &["run"]);
    server.wait_for("sources read to their ends");
    assert_eq!(server.get("/readyz", None), (200, "ok\n".to_owned()));
    for query in [
        "{ ordersByKey(id: \"7\") { status } }",
        "{ orders { totalCount } }",
        "{ aggregate(type: \"orders\", id: 7) { history { nodes { id } } } }",
        "{ events { nodes { id } } }",
        "{ store { events } }",
    ] {
        place.done(&["query", query, "--url", &server.url]);
    }

    let Scraped { samples, types } = scraped(&server.get("/metrics", None).1);
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("no {name} in {samples:#?}"));
    assert_eq!(value("deltafold_events_appended_total{source=\"file\"}"), 2.0);
    assert_eq!(value("deltafold_dead_letters_total{source=\"file\"}"), 1.0);
    assert!(value("deltafold_commit_duration_seconds_count") >= 1.0);
    assert!(value("deltafold_commit_duration_seconds_bucket{le=\"+Inf\"}") >= 1.0);
    assert_eq!(value("deltafold_projection_lag_seconds{projection=\"orders\"}"), 0.0);
    assert!(value("deltafold_position") > 0.0);
    for kind in ["by_key", "list", "history", "events", "other"] {
        assert_eq!(value(&format!("deltafold_read_duration_seconds_count{{kind=\"{kind}\"}}")), 1.0, "{kind}");
    }
    for name in ["process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"] {
        assert!(value(name) > 0.0, "{name}");
    }
    for (name, kind) in [
        ("deltafold_events_appended_total", "counter"),
        ("deltafold_commit_duration_seconds", "histogram"),
        ("deltafold_read_duration_seconds", "histogram"),
        ("deltafold_position", "gauge"),
        ("process_cpu_seconds_total", "counter"),
    ] {
        assert_eq!(types[name], kind, "{name}");
    }
    assert_eq!(server.stop(), Some(0));
}
