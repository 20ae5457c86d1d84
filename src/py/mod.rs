//! The Python module `bustapi._core`: the server object, what views touch, and the JSON bridge.

pub mod face;
pub mod ffi;
pub mod form;
pub mod json;
pub mod route;
pub mod run;
pub mod server;
pub mod settings;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _core(m: &Bound<'_, PyModule>) -> PyResult<()> {
    m.add("__version__", env!("CARGO_PKG_VERSION"))?;
    form::register(m)?;
    json::register(m)?;
    route::register(m)?;
    m.add_class::<face::generation::Generation>()?;
    m.add_class::<face::signer::CookieSigner>()?;
    m.add_class::<face::state::RequestState>()?;
    m.add_class::<face::proxy::Resolver>()?;
    m.add_function(wrap_pyfunction!(face::proxy::forward_attributes, m)?)?;
    m.add_class::<ffi::Body>()?;
    m.add_class::<run::body::BodyStream>()?;
    m.add("BodyLost", m.py().get_type::<run::body::BodyLost>())?;
    m.add_class::<run::file::FileBody>()?;
    m.add_class::<run::loopback::Loopback>()?;
    m.add_class::<run::pool::Pool>()?;
    m.add_class::<run::socket::Messages>()?;
    m.add_class::<run::socket::Socket>()?;
    m.add_class::<run::waiter::Waiter>()?;
    m.add_class::<run::watchdog::Watchdog>()?;
    m.add_class::<server::Listener>()?;
    m.add_class::<server::Dispatcher>()?;
    m.add_class::<server::Reactor>()?;
    m.add_function(wrap_pyfunction!(server::note_switch_interval, m)?)?;
    m.add_function(wrap_pyfunction!(settings::check_setting, m)?)
}
