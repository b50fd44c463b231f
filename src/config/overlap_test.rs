//! Names of several tenants, and what the operator is told of them.

use super::Secrets;
use super::bad_test::{GOOD, said};

fn tenant(id: &str, rest: &str) -> String {
    format!(
        "[[tenant]]\nid = \"{id}\"\n[[tenant.mount]]\nat = \"/\"\nstorage = \"local\"\n\
         [[tenant.identity]]\nid = \"app\"\nscopes = []\nview = []\n{rest}"
    )
}

fn rule(id: &str, username: &str) -> String {
    format!(
        "[[tenant.mapping]]\nid = \"{id}\"\nusername = \"{username}\"\nidentity = \"app\"\nprotocols = [\"sftp\"]\n\
         authorized_keys_file = \"keys\"\n"
    )
}

fn warnings(tenants: &[String]) -> Vec<String> {
    let said = said(&format!("{GOOD}\n{}", tenants.concat()), Secrets::Skip);
    said.iter().map(|line| line.split_once(" warning: tenant.mapping: ").expect(line).1.to_owned()).collect()
}

#[test]
fn names_of_several_tenants_are_warned_of() {
    let one = tenant("one", &(rule("branches", "branch-(?<nr>[0-9]{3})") + &rule("all-of-one", "b.*")));
    let told = warnings(&[one.clone(), tenant("two", &rule("offices", "[a-z]+-0.*"))]);
    assert_eq!(
        told,
        [
            "mapping `offices` of tenant `two` and mapping `branches` of tenant `one` know the same names, like \
             `branch-000`: neither lets it in; tell the partners to log in as `branch-000@one` or `branch-000@two`, or make \
             the patterns differ",
            "mapping `offices` of tenant `two` and mapping `all-of-one` of tenant `one` know the same names, like `b-0`: \
             neither lets it in; tell the partners to log in as `b-0@one` or `b-0@two`, or make the patterns differ",
        ]
    );
    // Rules of one tenant have an order.
    assert!(warnings(&[one.clone(), tenant("two", &rule("offices", "office-[0-9]+"))]).is_empty());
    let login = "[[tenant.login]]\nusername = \"branch-007\"\nidentity = \"app\"\nprotocols = [\"sftp\"]\n\
                 authorized_keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGtm7BgJU+yzE7+Amkoa9mmk9osBbrnMf52OanGYPXX3\"]\n";
    let told = warnings(&[tenant("two", login), tenant("one", &rule("branches", "branch-(?<nr>[0-9]{3})"))]);
    assert_eq!(
        told,
        [
            "mapping `branches` of tenant `one` knows the name `branch-007`, which means the login `branch-007` of tenant `two`: \
          by this rule it comes in as `branch-007@one` alone; tell the partner to log in so, or change the pattern"
        ]
    );
}
