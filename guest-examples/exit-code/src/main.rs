//! Exits with the code it is told, `exit-code 42`, or with one per completion index,
//! `exit-code --index-codes 0=0,3=42`. An index that is not listed exits 0.

use std::env;
use std::process::ExitCode;

const USAGE: &str = "usage: exit-code CODE | exit-code --index-codes INDEX=CODE,… (codes 0 to 255)";

fn main() -> ExitCode {
    match code_wanted() {
        Ok(code) => ExitCode::from(code),
        Err(message) => {
            eprintln!("exit-code: {message}");
            ExitCode::from(2)
        }
    }
}

fn code_wanted() -> Result<u8, &'static str> {
    let args: Vec<_> = env::args_os().skip(1).collect();
    let args: Option<Vec<&str>> = args.iter().map(|arg| arg.to_str()).collect();
    match args.as_deref() {
        Some(["--index-codes", list]) => {
            let index = env::var("JOB_COMPLETION_INDEX")
                .ok()
                .and_then(|index| index.parse().ok())
                .ok_or("--index-codes needs a number in JOB_COMPLETION_INDEX")?;
            code_of_index(list, index).ok_or(USAGE)
        }
        Some([code]) => code.parse().map_err(|_| USAGE),
        _ => Err(USAGE),
    }
}

/// `None` if any part of the list is malformed, so that a typing error does not pass as success of the other indexes.
fn code_of_index(list: &str, index: u32) -> Option<u8> {
    let mut code_found = 0;
    for pair in list.split(',') {
        let (pair_index, code) = pair.split_once('=')?;
        let code = code.parse().ok()?;
        if pair_index.parse::<u32>().ok()? == index {
            code_found = code;
        }
    }
    Some(code_found)
}

#[cfg(test)]
mod tests {
    use super::code_of_index;

    #[test]
    fn listed_index_gets_its_code_and_others_zero() {
        assert_eq!(code_of_index("0=0,3=42", 3), Some(42));
        assert_eq!(code_of_index("0=0,3=42", 1), Some(0));
    }

    #[test]
    fn one_malformed_pair_spoils_the_list() {
        for list in ["", "3", "3=", "=42", "3=256", "0=0,", "0=0;3=42"] {
            assert_eq!(code_of_index(list, 0), None, "{list:?}");
        }
    }
}
