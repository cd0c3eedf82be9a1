//! Where members stand in the picture of the mesh: the coordinator in the middle, the others on circles by hops.
//!
//! Pure geometry: the same members always stand in the same places, and no two discs touch.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

/// The most members whose labels are drawn; beyond them only the table names everyone.
const MOST_LABELS: usize = 60;

/// The widest picture that is shown without shrinking labels below what can be read.
const WIDEST: f64 = 1_600.0;

/// The room for one disc with its label, across.
const LABELLED: f64 = 96.0;

/// A ring up to this radius, in rooms, is drawn whole: cut off, a small picture would look broken.
const WHOLE_RING: f64 = 2.5;

/// The room for one disc alone.
const BARE: f64 = 30.0;

/// A member to be placed; the coordinator comes first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Connections between it and the coordinator.
    pub(super) hops: Option<u8>,
    /// The index of the member through which it is reached.
    pub(super) through: Option<usize>,
}

/// A whole picture; lengths are in its own units, from the top left.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    pub(super) width: f64,
    pub(super) height: f64,
    /// Where the coordinator stands.
    pub(super) middle: Place,
    /// A place for each member, in the order given.
    pub(super) places: Vec<Place>,
    /// The outer bounds of members with equally many hops.
    pub(super) rings: Vec<Ring>,
    /// Whether there is room for labels.
    pub(super) is_labelled: bool,
}

/// The centre of a disc.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Place {
    pub(crate) x: f64,
    pub(crate) y: f64,
}

impl Place {
    fn with_margin(&self, margin: f64) -> [Self; 2] {
        [Self { x: self.x - margin, y: self.y - margin }, Self { x: self.x + margin, y: self.y + margin }]
    }
}

/// A circle around the coordinator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ring {
    pub(super) radius: f64,
    /// How many hops those inside have; `None` for those without a known way.
    pub(super) hops: Option<u8>,
}

/// Places `members`.
pub(super) fn lay_out(members: &[Member]) -> Layout {
    let with_labels = Plan::of(members, LABELLED);
    if members.len() <= MOST_LABELS && with_labels.side() <= WIDEST {
        with_labels.finish(true)
    } else {
        Plan::of(members, BARE).finish(false)
    }
}

/// Polar coordinates while circles are filled from the inside out.
struct Plan {
    room: f64,
    /// Angle and radius of each member.
    polar: Vec<(f64, f64)>,
    rings: Vec<Ring>,
    /// The radius of the next free circle.
    next: f64,
}

impl Plan {
    fn of(members: &[Member], room: f64) -> Self {
        let mut plan = Self { room, polar: vec![(0.0, 0.0); members.len()], rings: Vec::new(), next: room };
        let mut hops: Vec<Option<u8>> = members.iter().skip(1).map(|member| member.hops).collect();
        hops.sort_unstable_by_key(|hops| hops.map_or(u16::MAX, u16::from));
        hops.dedup();
        for hops in hops {
            let group = members.iter().enumerate().skip(1).filter(|(_, member)| member.hops == hops);
            plan.place(hops, group.map(|(index, member)| (index, member.through)).collect());
        }
        plan
    }

    /// Fills as many circles as the group needs, and draws a ring around it.
    fn place(&mut self, hops: Option<u8>, mut group: Vec<(usize, Option<usize>)>) {
        let through = |(_, through): &(usize, Option<usize>)| through.filter(|index| *index > 0);
        let first = self.fits(group.len());
        if first == group.len() && hops.is_some() && group.iter().all(|member| through(member).is_some()) {
            self.beside_those_before(&mut group);
        } else {
            let mut rest = group.as_slice();
            while !rest.is_empty() {
                let (here, left) = rest.split_at(self.fits(rest.len()));
                // Two stand side by side rather than opposite, so that the way between them is not through the middle.
                let step = TAU / float(here.len().max(3));
                for (slot, (index, _)) in here.iter().enumerate() {
                    self.put(*index, step.mul_add(float(slot), -FRAC_PI_2));
                }
                self.next += self.room;
                rest = left;
            }
        }
        let radius = self.next - self.room * 0.35;
        self.rings.push(Ring { radius, hops });
        self.next += self.room * 0.3;
    }

    /// Puts a group that fits on one circle: each near the member through which it is reached.
    fn beside_those_before(&mut self, group: &mut [(usize, Option<usize>)]) {
        let angle = |polar: &[(f64, f64)], through: Option<usize>| {
            through.and_then(|index| polar.get(index)).map_or(-FRAC_PI_2, |(angle, _)| *angle)
        };
        let polar = self.polar.clone();
        group
            .sort_by(|one, other| angle(&polar, one.1).total_cmp(&angle(&polar, other.1)).then_with(|| one.cmp(other)));
        let gap = self.gap();
        let wanted: Vec<f64> = group
            .chunk_by(|one, other| one.1 == other.1)
            .flat_map(|siblings| {
                let (middle, count) = (angle(&polar, siblings.first().and_then(|first| first.1)), siblings.len());
                (0..count).map(move |slot| gap.mul_add(float(slot) - float(count - 1) / 2.0, middle))
            })
            .collect();
        for ((index, _), angle) in group.iter().zip(apart(&wanted, gap)) {
            self.put(*index, angle);
        }
        self.next += self.room;
    }

    fn put(&mut self, index: usize, angle: f64) {
        if let Some(place) = self.polar.get_mut(index) {
            *place = (angle, self.next);
        }
    }

    /// The least angle between two on the next circle.
    fn gap(&self) -> f64 {
        2.0 * (self.room / (2.0 * self.next)).min(1.0).asin()
    }

    /// How many of so many have room on the next circle; at least one.
    fn fits(&self, wanted: usize) -> usize {
        let gap = self.gap();
        (1..=wanted).take_while(|count| float(*count) * gap <= TAU + 1e-9).count().max(1)
    }

    fn side(&self) -> f64 {
        let outermost = self.rings.last().map_or(self.room, |ring| ring.radius);
        2.0 * (outermost + self.room * 0.2)
    }

    /// Cuts the picture to what stands in it; rings but a small one are drawn as far as they reach, with their words at the
    /// top.
    fn finish(self, is_labelled: bool) -> Layout {
        let at = |(angle, radius): &(f64, f64)| Place { x: radius * angle.cos(), y: radius * angle.sin() };
        let places: Vec<Place> = self.polar.iter().map(at).collect();
        let tops = self.rings.iter().map(|ring| Place { x: 0.0, y: -ring.radius - self.room * 0.2 });
        let whole = self.rings.iter().filter(|ring| ring.radius <= self.room * WHOLE_RING);
        let whole = whole.flat_map(|ring| Place::default().with_margin(ring.radius + 2.0));
        let margin = self.room * 0.6;
        let (mut from, mut to) = (Place { x: -self.room * 1.5, y: 0.0 }, Place { x: self.room * 1.5, y: 0.0 });
        for Place { x, y } in places.iter().flat_map(|place| place.with_margin(margin)).chain(tops).chain(whole) {
            from = Place { x: from.x.min(x), y: from.y.min(y) };
            to = Place { x: to.x.max(x), y: to.y.max(y) };
        }
        Layout {
            width: to.x - from.x,
            height: to.y - from.y,
            middle: Place { x: -from.x, y: -from.y },
            places: places.iter().map(|place| Place { x: place.x - from.x, y: place.y - from.y }).collect(),
            rings: self.rings,
            is_labelled,
        }
    }
}

/// Angles as near to the `wanted` ones as they can be with at least `gap` between any two, around the circle. There must
/// be room for all.
fn apart(wanted: &[f64], gap: f64) -> Vec<f64> {
    let Some(first) = wanted.first() else { return Vec::new() };
    let mut angles = Vec::new();
    let mut least = f64::NEG_INFINITY;
    for angle in wanted {
        let angle = angle.max(least);
        angles.push(angle);
        least = angle + gap;
    }
    let goes_round = angles.last().is_some_and(|last| last - first > TAU - gap);
    if goes_round {
        let step = TAU / float(wanted.len());
        return (0..wanted.len()).map(|slot| step.mul_add(float(slot), *first)).collect();
    }
    let pushed: f64 = angles.iter().zip(wanted).map(|(angle, wanted)| angle - wanted).sum();
    let back = (pushed / float(wanted.len())).min(PI);
    angles.iter().map(|angle| angle - back).collect()
}

fn float(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The coordinator and as many others, each behind the one that `through` says, or without a way.
    fn members(through: &[Option<usize>]) -> Vec<Member> {
        let mut members = vec![Member { hops: Some(0), through: None }];
        for through in through {
            let through = through.map(|index| index % members.len());
            let hops = through.and_then(|index| members[index].hops).and_then(|hops| hops.checked_add(1));
            members.push(Member { hops, through: through.filter(|_| hops.is_some()) });
        }
        members
    }

    /// What is wrong with a picture: discs that touch, or that lie outside.
    fn faults(layout: &Layout) -> Vec<String> {
        let room = if layout.is_labelled { LABELLED } else { BARE };
        let mut faults = Vec::new();
        for (index, place) in layout.places.iter().enumerate() {
            for (other, there) in layout.places.iter().enumerate().skip(index + 1) {
                let distance = (place.x - there.x).hypot(place.y - there.y);
                if distance < room - 1e-6 {
                    faults.push(format!("{index} and {other} are {distance:.1} apart"));
                }
            }
            let edges = [place.x, place.y, layout.width - place.x, layout.height - place.y];
            if edges.iter().any(|to_edge| *to_edge < room * 0.5) {
                faults.push(format!("{index} is at the edge: {place:?}"));
            }
        }
        faults
    }

    #[test]
    fn no_two_discs_touch_in_a_mesh_of_any_size() {
        for count in 0..=200 {
            let star = members(&vec![Some(0); count]);
            let chain: Vec<Option<usize>> = (0..count.min(16)).map(Some).collect();
            let tree: Vec<Option<usize>> = (0..count).map(|index| Some(index / 3)).collect();
            let nobody = vec![None; count];
            for (name, members) in
                [("star", star), ("chain", members(&chain)), ("tree", members(&tree)), ("cut", members(&nobody))]
            {
                let layout = lay_out(&members);
                assert_eq!(layout.places.len(), members.len());
                assert_eq!(faults(&layout), Vec::<String>::new(), "{name} of {count}");
                assert!(layout.width.max(layout.height) <= WIDEST, "{name} of {count}: {}", layout.height);
            }
        }
    }

    #[test]
    fn the_ring_of_a_small_mesh_is_drawn_whole() {
        let layout = lay_out(&members(&[Some(0), Some(0)]));
        let Place { x, y } = layout.middle;
        let to_edges = [x, y, layout.width - x, layout.height - y];
        assert!(to_edges.iter().all(|to_edge| *to_edge > layout.rings[0].radius), "{layout:?}");
    }

    #[test]
    fn labels_give_way_above_sixty() {
        let is_labelled = |count| lay_out(&members(&vec![Some(0); count])).is_labelled;
        assert_eq!([1, 59, 60, 200].map(is_labelled), [true, true, false, false]);
    }

    #[test]
    fn a_chain_is_a_straight_line_and_children_stand_beside_their_parent() {
        let chain = lay_out(&members(&[Some(0), Some(1), Some(2)]));
        assert!(chain.places.iter().all(|place| (place.x - chain.middle.x).abs() < 1e-6), "{:?}", chain.places);
        assert!(chain.places.is_sorted_by(|one, other| one.y > other.y), "{:?}", chain.places);
        let tree = lay_out(&members(&[Some(0), Some(0), Some(1), Some(2)]));
        let apart = |one: usize, other: usize| {
            let (one, other) = (tree.places[one], tree.places[other]);
            (one.x - other.x).hypot(one.y - other.y)
        };
        assert!(apart(1, 3) < apart(2, 3) && apart(2, 4) < apart(1, 4), "{:?}", tree.places);
    }

    proptest! {
        #[test]
        fn any_mesh_is_drawn_without_touching_and_the_same_each_time(
            through in proptest::collection::vec(proptest::option::weighted(0.9, 0usize..200), 0..200),
        ) {
            let members = members(&through);
            let layout = lay_out(&members);
            prop_assert_eq!(faults(&layout), Vec::<String>::new());
            prop_assert_eq!(lay_out(&members), layout);
        }
    }
}
