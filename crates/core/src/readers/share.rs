//! How the connections of a node are divided among the receivers that it tells.
//!
//! The fuller the node is, the less each receiver may add; and what is left at the end is for those that answer. So any
//! number of receivers that hang, however many requests each of them could have under way, never take all.

/// Each receiver takes no more than this part of what is free.
const PART: usize = 8;

/// Whether a receiver with `own` requests under way may have one more, where `used` of `limit` are under way on the node.
/// Of the last eighth nothing is given to a receiver that is slow, and it never has more than an eighth of all.
pub fn may_take(limit: usize, used: usize, own: usize, is_slow: bool) -> bool {
    let reserved = if is_slow { limit / PART } else { 0 };
    let free = limit.saturating_sub(used).saturating_sub(reserved);
    // One that has none waits only while there is nothing at all.
    let most = if is_slow { (free / PART).min(limit / PART) } else { free / PART };
    free > 0 && own < most.max(1)
}

/// Whether what a receiver is told that has `own` of `used` requests under way is made elsewhere than in its own turn: where it
/// has more to do than one of so many `processors` has as its part. Otherwise the turns of the others keep them all busy, and
/// taking it elsewhere and back costs more than it brings.
pub fn is_spread(used: usize, own: usize, processors: usize) -> bool {
    own.saturating_mul(processors) > used
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much `receivers` take that take as much as they may, one after the other, each at most `most`.
    fn taken(limit: usize, receivers: usize, most: usize, is_slow: bool) -> Vec<usize> {
        let mut own = vec![0; receivers];
        loop {
            let mut has_grown = false;
            for one in 0..receivers {
                let used = own.iter().sum();
                if own[one] < most && may_take(limit, used, own[one], is_slow) {
                    own[one] += 1;
                    has_grown = true;
                }
            }
            if !has_grown {
                return own;
            }
        }
    }

    #[test]
    fn a_few_receivers_have_as_much_as_they_are_configured_to() {
        for (limit, receivers, most) in [(1_024, 1, 64), (1_024, 8, 64), (600, 1, 64)] {
            assert_eq!(taken(limit, receivers, most, false).iter().sum::<usize>(), receivers * most);
        }
    }

    #[test]
    fn receivers_that_hang_never_take_all() {
        for (limit, receivers) in [(1_024, 1), (1_024, 16), (1_024, 100), (1_024, 5_000), (16, 100), (8, 8)] {
            let used: usize = taken(limit, receivers, 64, true).iter().sum();
            assert!(used <= limit - limit / 8, "{used} of {limit} with {receivers}");
            assert!(may_take(limit, used, 0, false), "one that answers finds a place: {limit}, {receivers}");
        }
    }

    #[test]
    fn the_limit_holds_and_is_reached() {
        for (limit, receivers) in [(1, 1), (1, 5), (3, 2), (10, 10), (64, 500)] {
            for is_slow in [false, true] {
                let used: usize = taken(limit, receivers, 1_000, is_slow).iter().sum();
                assert!((1..=limit).contains(&used), "{used} of {limit}");
            }
        }
        assert!(!may_take(4, 4, 0, false) && !may_take(0, 0, 0, false) && !may_take(2, 9, 0, true));
    }

    #[test]
    fn only_who_has_more_to_do_than_its_part_is_helped() {
        for (used, own, processors, expected) in [
            (64, 64, 2, true),
            (64, 4, 2, false),
            (64, 32, 2, false),
            (64, 33, 2, true),
            (1, 1, 1, false),
            (16, 4, 8, true),
        ] {
            assert_eq!(is_spread(used, own, processors), expected, "{own} of {used} on {processors}");
        }
    }
}
