use super::*;

fn hosts(name: &str) -> io::Result<Vec<(String, Option<u16>)>> {
    let found = resolve(&name.parse().unwrap())?;
    Ok(found.into_iter().map(|found| (found.address.host, found.address.port)).collect())
}

#[test]
fn a_name_without_a_port_has_that_of_routes() {
    assert_eq!(hosts("127.0.0.1").unwrap(), [("127.0.0.1".to_owned(), Some(6222))]);
    assert_eq!(hosts("[::1]:7").unwrap(), [("::1".to_owned(), Some(7))]);
}

#[test]
fn each_address_is_told_once() {
    let hosts = hosts("localhost:7").unwrap();
    let distinct: BTreeSet<_> = hosts.iter().collect();
    assert_eq!(distinct.len(), hosts.len());
    assert!(hosts.iter().any(|(host, _)| host == "127.0.0.1" || host == "::1"), "{hosts:?}");
}

#[test]
fn a_name_that_does_not_exist_is_an_error() {
    assert!(hosts("nobody.invalid").is_err());
}
