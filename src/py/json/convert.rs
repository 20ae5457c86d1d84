//! What Flask's default provider makes of values that JSON does not know: dates, decimals, UUIDs, dataclasses and
//! objects with `__html__`.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyDate, PyDateAccess, PyDateTime, PyString, PyTimeAccess, PyType, PyTzInfo, PyTzInfoAccess,
};

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Imported on the first value that needs them: most applications send none.
struct Imports {
    decimal: Py<PyType>,
    uuid: Py<PyType>,
    is_dataclass: Py<PyAny>,
    asdict: Py<PyAny>,
}

static IMPORTS: PyOnceLock<Imports> = PyOnceLock::new();

impl Imports {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        IMPORTS.get_or_try_init(py, || {
            let dataclasses = py.import("dataclasses")?;
            Ok(Self {
                decimal: py
                    .import("decimal")?
                    .getattr("Decimal")?
                    .cast_into::<PyType>()?
                    .unbind(),
                uuid: py
                    .import("uuid")?
                    .getattr("UUID")?
                    .cast_into::<PyType>()?
                    .unbind(),
                is_dataclass: dataclasses.getattr("is_dataclass")?.unbind(),
                asdict: dataclasses.getattr("asdict")?.unbind(),
            })
        })
    }
}

/// A value that JSON knows better in place of one that it does not know.
///
/// # Errors
/// TypeError in the standard library's words for any other type, and what the value's own methods raise.
pub(super) fn convert<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if let Ok(date) = value.cast::<PyDate>() {
        return Ok(PyString::new(py, &http_date(date)?).into_any());
    }
    let imports = Imports::get(py)?;
    if value.is_instance(imports.decimal.bind(py))? || value.is_instance(imports.uuid.bind(py))? {
        return Ok(value.str()?.into_any());
    }
    if imports.is_dataclass.bind(py).call1((value,))?.is_truthy()? {
        return imports.asdict.bind(py).call1((value,));
    }
    if let Some(html) = value.getattr_opt("__html__")? {
        return Ok(html.call0()?.str()?.into_any());
    }
    let name = value.get_type().name()?;
    Err(PyTypeError::new_err(format!(
        "Object of type {name} is not JSON serializable"
    )))
}

/// RFC 9110 5.6.7 (IMF-fixdate): a naive datetime is UTC, a plain date is its midnight.
fn http_date(date: &Bound<'_, PyDate>) -> PyResult<String> {
    let py = date.py();
    let Ok(datetime) = date.cast::<PyDateTime>() else {
        let (year, month, day) = (date.get_year(), date.get_month(), date.get_day());
        return Ok(format_date(
            weekday(year, month, day),
            [year, month.into(), day.into(), 0, 0, 0],
        ));
    };
    let utc = PyTzInfo::utc(py)?;
    let zone = datetime.get_tzinfo();
    let is_utc = match &zone {
        Some(zone) => zone.eq(utc)?,
        None => true,
    };
    if datetime.cast_exact::<PyDateTime>().is_ok() {
        let moment = if is_utc {
            datetime.clone()
        } else {
            datetime
                .call_method1("astimezone", (utc,))?
                .cast_into::<PyDateTime>()?
        };
        let (year, month, day) = (moment.get_year(), moment.get_month(), moment.get_day());
        let clock = [
            year,
            month.into(),
            day.into(),
            moment.get_hour().into(),
            moment.get_minute().into(),
            moment.get_second().into(),
        ];
        return Ok(format_date(weekday(year, month, day), clock));
    }
    // A subclass may override what these methods give.
    let moment = if zone.is_none() {
        let arguments = pyo3::types::PyDict::new(py);
        arguments.set_item("tzinfo", utc)?;
        datetime.call_method("replace", (), Some(&arguments))?
    } else if is_utc {
        datetime.clone().into_any()
    } else {
        datetime.call_method1("astimezone", (utc,))?
    };
    let fields = moment.call_method0("timetuple")?;
    let field = |index: usize| fields.get_item(index)?.extract::<i32>();
    let clock = [
        field(0)?,
        field(1)?,
        field(2)?,
        field(3)?,
        field(4)?,
        field(5)?,
    ];
    Ok(format_date(usize::try_from(field(6)?).unwrap_or(0), clock))
}

fn format_date(weekday: usize, [year, month, day, hour, minute, second]: [i32; 6]) -> String {
    let weekday = WEEKDAYS[weekday % 7];
    let month = MONTHS[month.clamp(1, 12) as usize - 1];
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

/// Monday is 0. Sakamoto's method, for the proleptic Gregorian calendar that `datetime` uses.
fn weekday(year: i32, month: u8, day: u8) -> usize {
    const SHIFT: [i32; 12] = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4];
    let year = if month < 3 { year - 1 } else { year };
    let shift = SHIFT[usize::from(month.clamp(1, 12)) - 1];
    let sunday_based = year + year / 4 - year / 100 + year / 400 + shift + i32::from(day);
    (sunday_based + 6).rem_euclid(7) as usize
}
