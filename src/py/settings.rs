//! The settings dict of `bustapi.serve` as the core's configuration.

use crate::config::Config;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::time::Duration;

/// Reads the keys that concern the core; absent ones keep their default, and None means no bound of its own.
pub fn read(settings: &Bound<'_, PyDict>) -> PyResult<Config> {
    let mut config = Config::default();
    let size = |name: &str, into: &mut usize| -> PyResult<()> {
        if let Some(value) = present(settings, name)? {
            *into = value
                .extract()
                .map_err(|_| invalid(name, "a whole number, not negative"))?;
        }
        Ok(())
    };
    size("max_request_line", &mut config.max_request_line)?;
    size("max_head", &mut config.max_head)?;
    size("max_fields", &mut config.max_fields)?;
    size("max_chunk_line", &mut config.max_chunk_line)?;
    size("max_trailers", &mut config.max_trailers)?;
    size("max_body_memory", &mut config.max_body_memory)?;
    size("max_pinned", &mut config.max_pinned)?;
    size("max_outbox", &mut config.max_outbox)?;
    size("max_pipeline", &mut config.max_pipeline)?;
    size("max_waiting", &mut config.max_waiting)?;
    size("max_connections", &mut config.max_connections)?;
    size("turn_budget", &mut config.turn_budget)?;
    config.turn_budget = config.turn_budget.max(1);
    if let Some(value) = present(settings, "max_body")? {
        config.max_body = value
            .extract()
            .map_err(|_| invalid("max_body", "a whole number of bytes"))?;
    }
    let count = |name: &str, into: &mut u32| -> PyResult<()> {
        if let Some(value) = present(settings, name)? {
            *into = value
                .extract()
                .map_err(|_| invalid(name, "a whole number, not negative"))?;
        }
        Ok(())
    };
    count(
        "max_requests_per_connection",
        &mut config.max_requests_per_connection,
    )?;
    count("min_body_rate", &mut config.min_body_rate)?;
    count("min_write_rate", &mut config.min_write_rate)?;
    let time = |name: &str, into: &mut Duration| -> PyResult<()> {
        if let Some(value) = present(settings, name)? {
            let seconds: f64 = value
                .extract()
                .map_err(|_| invalid(name, "a number of seconds"))?;
            *into = Duration::try_from_secs_f64(seconds)
                .map_err(|_| invalid(name, "a number of seconds, not negative"))?;
        }
        Ok(())
    };
    time("first_byte_timeout", &mut config.first_byte_timeout)?;
    time("head_timeout", &mut config.head_timeout)?;
    time("body_timeout", &mut config.body_timeout)?;
    time("keep_alive_timeout", &mut config.keep_alive_timeout)?;
    time("write_timeout", &mut config.write_timeout)?;
    time("linger_timeout", &mut config.linger_timeout)?;
    Ok(config)
}

fn present<'py>(settings: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(settings.get_item(name)?.filter(|value| !value.is_none()))
}

fn invalid(name: &str, expected: &str) -> PyErr {
    PyValueError::new_err(format!("{name} must be {expected}"))
}
