//! Routes to real servers in combinations of version, pool, compression and TLS, so many that each choice meets each other. The
//! program `matrix` tries all.

use onehop_tests::matrix::Combination;

#[test]
fn each_choice_works_together_with_each_other_choice() {
    for combination in Combination::pairwise() {
        println!("{combination}");
        combination.run().unwrap_or_else(|why| panic!("{combination}: {why}"));
    }
}
