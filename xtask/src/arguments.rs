//! Arguments: a few flags with values. More would be a reason for a crate.

use crate::Failure;

/// Takes `--name value` or `--name=value` out of `arguments`.
pub(crate) fn take_value(
    arguments: &mut Vec<String>,
    name: &str,
) -> Result<Option<String>, Failure> {
    let joined = format!("{name}=");
    let Some(index) = arguments.iter().position(|it| it == name || it.starts_with(&joined)) else {
        return Ok(None);
    };
    let argument = arguments.remove(index);
    if let Some(value) = argument.strip_prefix(&joined) {
        return Ok(Some(value.to_owned()));
    }
    if index == arguments.len() {
        return Err(format!("{name} needs a value"));
    }
    Ok(Some(arguments.remove(index)))
}

/// Takes `name` out of `arguments`; whether it was there.
pub(crate) fn take_flag(arguments: &mut Vec<String>, name: &str) -> bool {
    let index = arguments.iter().position(|it| it == name);
    index.map(|index| arguments.remove(index)).is_some()
}

/// Refuses what nobody took.
pub(crate) fn refuse_rest(arguments: &[String]) -> Result<(), Failure> {
    match arguments {
        [] => Ok(()),
        [first, ..] => Err(format!("what does `{first}` mean?")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_comes_behind_its_name_or_a_sign() {
        for given in [&["a", "--only", "x,y", "b"][..], &["a", "--only=x,y", "b"]] {
            let mut arguments: Vec<_> = given.iter().map(|it| (*it).to_owned()).collect();
            let value = take_value(&mut arguments, "--only");
            assert_eq!(value, Ok(Some("x,y".to_owned())));
            assert_eq!(arguments, ["a", "b"]);
        }
    }

    #[test]
    fn a_name_without_a_value_is_refused() {
        let mut arguments = vec!["--only".to_owned()];
        assert!(take_value(&mut arguments, "--only").is_err());
    }
}
