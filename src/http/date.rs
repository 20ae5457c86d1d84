//! The preferred date format (RFC 9110 5.6.7), written in place: callers refresh it once a second.

const DAYS: &[u8; 21] = b"ThuFriSatSunMonTueWed";
const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
const SECONDS_PER_DAY: u64 = 86_400;
/// 9999-12-31 23:59:59: the format has four digits for the year.
const LAST: u64 = 253_402_300_799;

/// Writes `Sun, 06 Nov 1994 08:49:37 GMT` for a Unix time; times past the year 9999 are written as its last second.
pub fn imf_fixdate(unix_secs: u64, out: &mut [u8; 29]) {
    let secs = unix_secs.min(LAST);
    let (days, second) = (secs / SECONDS_PER_DAY, secs % SECONDS_PER_DAY);
    let (year, month, day) = civil_from_days(days);
    *out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    // 1970-01-01 was a Thursday.
    let weekday = (days % 7) as usize * 3;
    out[..3].copy_from_slice(&DAYS[weekday..weekday + 3]);
    two_digits(&mut out[5..7], day);
    let name = (month as usize - 1) * 3;
    out[8..11].copy_from_slice(&MONTHS[name..name + 3]);
    two_digits(&mut out[12..14], year / 100);
    two_digits(&mut out[14..16], year % 100);
    two_digits(&mut out[17..19], second / 3600);
    two_digits(&mut out[20..22], second / 60 % 60);
    two_digits(&mut out[23..25], second % 60);
}

fn two_digits(out: &mut [u8], value: u64) {
    out[0] = b'0' + (value / 10) as u8;
    out[1] = b'0' + (value % 10) as u8;
}

/// Days since 1970-01-01 to (year, month, day), Gregorian. Years are counted from March so that the leap day is a
/// year's last day and month lengths follow one linear formula.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    // 0000-03-01 is 719,468 days before 1970-01-01; an era is 400 years of 146,097 days.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn format(secs: u64) -> String {
        let mut out = [0; 29];
        imf_fixdate(secs, &mut out);
        String::from_utf8(out.to_vec()).expect("the format is ASCII")
    }

    #[test]
    fn writes_the_rfc_example() {
        assert_eq!(format(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn knows_leap_days_of_centuries() {
        assert_eq!(format(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(format(4_107_542_400), "Mon, 01 Mar 2100 00:00:00 GMT");
    }

    #[test]
    fn stops_at_the_last_second_of_the_year_9999() {
        assert_eq!(format(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    proptest::proptest! {
        #[test]
        fn agrees_with_httpdate(secs in 0..LAST) {
            proptest::prop_assert_eq!(format(secs), httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(secs)));
        }
    }
}
