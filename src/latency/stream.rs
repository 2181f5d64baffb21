//! One query after the other, each waited for: the single-stream scenario of MLPerf Inference (Reddi et al. 2020).

use super::series::warm_up;
use super::stats::Spread;
use serde::Serialize;
use std::time::Instant;

/// How long a stream is, at least.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StreamRule {
    /// Queries.
    pub queries: usize,
    /// Seconds.
    pub seconds: f64,
}

/// MLPerf's: 1,024 queries and 60 s.
pub const MLPERF: StreamRule = StreamRule { queries: 1024, seconds: 60.0 };

/// What a stream of queries came to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Stream {
    /// Milliseconds of a query; its 90th percentile is MLPerf's number.
    pub ms: Spread,
    /// Seconds of all queries.
    pub seconds: f64,
}

impl StreamRule {
    /// Whether a stream of so many queries in so many seconds is long enough.
    fn is_kept(&self, queries: usize, seconds: f64) -> bool {
        queries >= self.queries.max(1) && seconds >= self.seconds
    }
}

/// Asks one query after the other, after a warm-up, until the rule is kept.
///
/// # Errors
/// What a query says.
pub fn single_stream<E>(rule: StreamRule, mut query: impl FnMut() -> Result<(), E>) -> Result<Stream, E> {
    let mut timed = || {
        let begun = Instant::now();
        query().map(|()| begun.elapsed().as_secs_f64())
    };
    warm_up(&mut timed)?;
    let (begun, mut seconds) = (Instant::now(), Vec::new());
    while !rule.is_kept(seconds.len(), begun.elapsed().as_secs_f64()) {
        seconds.push(timed()?);
    }
    Ok(Stream { ms: Spread::of(&seconds).scaled(1e3), seconds: begun.elapsed().as_secs_f64() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_as_many_queries_and_as_many_seconds_as_the_rule_says() {
        for (queries, seconds, kept) in [(1024, 60.0, true), (1023, 600.0, false), (100_000, 59.9, false)] {
            assert_eq!(MLPERF.is_kept(queries, seconds), kept, "{queries} in {seconds} s");
        }
        let mut asked = 0;
        let rule = StreamRule { queries: 50, seconds: 0.0 };
        let stream = single_stream(rule, || {
            asked += 1;
            Ok::<_, ()>(())
        });
        let stream = stream.unwrap();
        assert_eq!(stream.ms.count, 50);
        assert!((56..=74).contains(&asked), "{asked}: a warm-up and the stream");
        assert!(stream.ms.p90 >= stream.ms.median);
        assert_eq!(single_stream(StreamRule { queries: 0, seconds: 0.0 }, || Ok::<_, ()>(())).unwrap().ms.count, 1);
    }

    #[test]
    fn a_query_that_fails_ends_the_stream() {
        let mut asked = 0;
        let stream = single_stream(StreamRule { queries: 50, seconds: 0.0 }, || {
            asked += 1;
            if asked == 30 { Err("lost") } else { Ok(()) }
        });
        assert_eq!(stream.err(), Some("lost"));
    }
}
