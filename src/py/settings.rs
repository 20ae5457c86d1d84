//! The settings dict of `bustapi.serve` as the core's configuration.

use crate::config::Config;
use crate::http::TrustedHosts;
use crate::http::forwarded::{Believed, Proxies};
use crate::ws::Compression;
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
    size("max_body_in_memory", &mut config.max_body_in_memory)?;
    size("max_body_memory", &mut config.max_body_memory)?;
    size("max_pinned", &mut config.max_pinned)?;
    size("max_outbox", &mut config.max_outbox)?;
    size("max_pipeline", &mut config.max_pipeline)?;
    size("max_waiting", &mut config.max_waiting)?;
    size("max_connections", &mut config.max_connections)?;
    size("turn_budget", &mut config.turn_budget)?;
    size("websocket_max_message", &mut config.websocket_max_message)?;
    size("websocket_max_frame", &mut config.websocket_max_frame)?;
    size("websocket_max_queue", &mut config.websocket_max_queue)?;
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
    time("busy_poll", &mut config.busy_poll)?;
    time("head_timeout", &mut config.head_timeout)?;
    time("body_timeout", &mut config.body_timeout)?;
    time("keep_alive_timeout", &mut config.keep_alive_timeout)?;
    time("write_timeout", &mut config.write_timeout)?;
    time("linger_timeout", &mut config.linger_timeout)?;
    time("websocket_ping_timeout", &mut config.websocket_ping_timeout)?;
    time(
        "websocket_close_timeout",
        &mut config.websocket_close_timeout,
    )?;
    time(
        "websocket_ping_interval",
        &mut config.websocket_ping_interval,
    )?;
    time("websocket_idle_timeout", &mut config.websocket_idle_timeout)?;
    if let Some(value) = present(settings, "websocket_compression")? {
        config.websocket_compression = match value.extract::<&str>()? {
            "off" => Compression::Off,
            "shared" => Compression::Shared,
            "dedicated" => Compression::Dedicated,
            _ => return Err(invalid("websocket_compression", "off, shared or dedicated")),
        };
    }
    read_identity(settings, &mut config)?;
    Ok(config)
}

/// Who is believed about a request's origin, and which hosts are answered for.
fn read_identity(settings: &Bound<'_, PyDict>, config: &mut Config) -> PyResult<()> {
    let text = |name: &str| -> PyResult<Option<String>> {
        present(settings, name)?
            .map(|value| value.extract().map_err(|_| invalid(name, "text")))
            .transpose()
    };
    let mut believed = Believed::ALL;
    if let Some(names) = text("proxy_headers")? {
        believed = Believed::parse(&names).map_err(|_| {
            invalid(
                "proxy_headers",
                "Forwarded, X-Forwarded-For, -Proto, -Host, -Port or -Prefix",
            )
        })?;
    }
    if let Some(trusted) = text("trusted_proxies")? {
        let proxies = Proxies::parse(&trusted, believed)
            .map_err(|expected| invalid("trusted_proxies", &expected))?;
        config.proxies = Some(proxies);
    }
    if let Some(value) = present(settings, "proxy_protocol")? {
        config.proxy_protocol = value
            .extract()
            .map_err(|_| invalid("proxy_protocol", "true or false"))?;
    }
    if config.proxy_protocol && config.proxies.is_none() {
        return Err(PyValueError::new_err(
            "proxy_protocol needs trusted_proxies: anybody could send it",
        ));
    }
    if let Some(list) = text("trusted_hosts")? {
        let hosts = TrustedHosts::parse(&list)
            .map_err(|_| invalid("trusted_hosts", "names or addresses without a port"))?;
        config.trusted_hosts = Some(hosts);
    }
    Ok(())
}

/// Checks one setting that is written as a list, by the same rules as a reactor.
#[pyfunction]
pub fn check_setting(py: Python<'_>, name: &str, value: &str) -> PyResult<()> {
    let settings = PyDict::new(py);
    settings.set_item(name, value)?;
    read(&settings).map(drop)
}

fn present<'py>(settings: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    Ok(settings.get_item(name)?.filter(|value| !value.is_none()))
}

fn invalid(name: &str, expected: &str) -> PyErr {
    PyValueError::new_err(format!("{name} must be {expected}"))
}
