//! `strftime_now` of chat templates: the C function strftime (in the C locale) for a given local time.

use std::fmt::Write;

use crate::error::{Error, Result};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MAX_FORMAT_BYTES: usize = 1024;

#[derive(Clone, Copy)]
pub struct Clock {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Clock {
    /// "2026-02-03T04:05:06", the form of ISO 8601 that has no zone: years 1 to 9999.
    pub fn parse(text: &str) -> Result<Clock> {
        let bad = || Error::invalid(format!("time {text:?}, expected the form 2026-02-03T04:05:06"));
        let shape = text.len() == 19
            && text.bytes().enumerate().all(|(at, c)| match at {
                4 | 7 => c == b'-',
                10 => c == b'T' || c == b' ',
                13 | 16 => c == b':',
                _ => c.is_ascii_digit(),
            });
        if !shape {
            return Err(bad());
        }
        let number = |from: usize, to: usize| text[from..to].parse::<i64>().unwrap_or(-1);
        let clock = Clock {
            year: number(0, 4),
            month: number(5, 7),
            day: number(8, 10),
            hour: number(11, 13),
            minute: number(14, 16),
            second: number(17, 19),
        };
        let valid = clock.year >= 1
            && (1..=12).contains(&clock.month)
            && (1..=days_in_month(clock.year, clock.month)).contains(&clock.day)
            && clock.hour < 24
            && clock.minute < 60
            && clock.second < 61;
        if valid { Ok(clock) } else { Err(bad()) }
    }

    fn year_day(&self) -> i64 {
        (1..self.month).map(|month| days_in_month(self.year, month)).sum::<i64>() + self.day - 1
    }

    /// 0 is Sunday.
    fn week_day(&self) -> i64 {
        let past = self.year - 1; // the first day of year 1 was a Monday
        (past * 365 + past / 4 - past / 100 + past / 400 + self.year_day() + 1) % 7
    }

    /// The week of ISO 8601 and the year that it belongs to.
    fn iso_week(&self) -> (i64, i64) {
        let week_day = (self.week_day() + 6) % 7; // 0 is Monday
        let week = (self.year_day() - week_day + 10) / 7;
        let weeks = |year: i64| {
            let january = Clock { year, month: 1, day: 1, ..*self }.week_day();
            if january == 4 || (january == 3 && is_leap(year)) { 53 } else { 52 }
        };
        if week < 1 {
            (self.year - 1, weeks(self.year - 1))
        } else if week > weeks(self.year) {
            (self.year + 1, 1)
        } else {
            (self.year, week)
        }
    }

    pub fn format(&self, format: &str) -> Result<String> {
        if format.len() > MAX_FORMAT_BYTES {
            return Err(Error::limit(format!("strftime_now: format of more than {MAX_FORMAT_BYTES} bytes")));
        }
        let mut out = String::new();
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut flag = None;
            let mut directive = rest.next();
            if let Some(c @ ('-' | '_' | '0' | '^')) = directive {
                flag = Some(c);
                directive = rest.next();
            }
            match directive {
                Some(directive) => self.directive(&mut out, directive, flag),
                None => out.push('%'),
            }
        }
        Ok(out)
    }

    fn directive(&self, out: &mut String, directive: char, flag: Option<char>) {
        let number = |out: &mut String, value: i64, width: usize, fill: char| {
            let done = match flag.unwrap_or(fill) {
                '-' => write!(out, "{value}"),
                '_' => write!(out, "{value:width$}"),
                ' ' => write!(out, "{value:width$}"),
                _ => write!(out, "{value:0width$}"),
            };
            done.unwrap_or(())
        };
        let name = |out: &mut String, text: &str| {
            if flag == Some('^') { out.push_str(&text.to_uppercase()) } else { out.push_str(text) }
        };
        let nested = |out: &mut String, format: &str| out.push_str(&self.format(format).unwrap_or_default());
        let month = MONTHS[self.month as usize - 1];
        let day = DAYS[self.week_day() as usize];
        let hour12 = if self.hour % 12 == 0 { 12 } else { self.hour % 12 };
        match directive {
            'Y' => number(out, self.year, 1, '0'),
            'C' => number(out, self.year / 100, 2, '0'),
            'y' => number(out, self.year % 100, 2, '0'),
            'G' => number(out, self.iso_week().0, 1, '0'),
            'g' => number(out, self.iso_week().0 % 100, 2, '0'),
            'V' => number(out, self.iso_week().1, 2, '0'),
            'm' => number(out, self.month, 2, '0'),
            'd' => number(out, self.day, 2, '0'),
            'e' => number(out, self.day, 2, ' '),
            'H' => number(out, self.hour, 2, '0'),
            'k' => number(out, self.hour, 2, ' '),
            'I' => number(out, hour12, 2, '0'),
            'l' => number(out, hour12, 2, ' '),
            'M' => number(out, self.minute, 2, '0'),
            'S' => number(out, self.second, 2, '0'),
            'f' => out.push_str("000000"),
            'j' => number(out, self.year_day() + 1, 3, '0'),
            'u' => number(out, (self.week_day() + 6) % 7 + 1, 1, '0'),
            'w' => number(out, self.week_day(), 1, '0'),
            'U' => number(out, (self.year_day() + 7 - self.week_day()) / 7, 2, '0'),
            'W' => number(out, (self.year_day() + 7 - (self.week_day() + 6) % 7) / 7, 2, '0'),
            'B' => name(out, month),
            'b' | 'h' => name(out, &month[..3]),
            'A' => name(out, day),
            'a' => name(out, &day[..3]),
            'p' => out.push_str(if self.hour < 12 { "AM" } else { "PM" }),
            'P' => out.push_str(if self.hour < 12 { "am" } else { "pm" }),
            'F' => nested(out, "%Y-%m-%d"),
            'T' | 'X' => nested(out, "%H:%M:%S"),
            'D' | 'x' => nested(out, "%m/%d/%y"),
            'R' => nested(out, "%H:%M"),
            'r' => nested(out, "%I:%M:%S %p"),
            'c' => nested(out, "%a %b %e %H:%M:%S %Y"),
            'Z' | 'z' => {} // a time without a zone
            'n' => out.push('\n'),
            't' => out.push('\t'),
            '%' => out.push('%'),
            other => {
                out.push('%');
                out.extend(flag);
                out.push(other);
            }
        }
    }
}

fn is_leap(year: i64) -> bool {
    (year % 4 == 0 && year % 100 != 0) || year % 400 == 0
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
