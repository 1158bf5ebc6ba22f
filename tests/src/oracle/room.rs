//! Rooms of boxes and planes, ray-traced; a point's colour is its position.

use fathom_core::camera::{Intrinsics, Pose};
use fathom_core::frame::RgbImage;
use nalgebra::{Point3, Vector3};

/// An axis-aligned box, metres.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cuboid {
    /// Corner with the smallest coordinates.
    pub low: Point3<f64>,
    /// Corner with the largest coordinates.
    pub high: Point3<f64>,
}

/// A closed room with boxes in it. World frame: x right, y down, z into the room.
#[derive(Debug, Clone, PartialEq)]
pub struct Room {
    /// Walls, floor and ceiling: the camera is inside.
    pub walls: Cuboid,
    /// Furniture: the camera is outside.
    pub boxes: Vec<Cuboid>,
}

impl Room {
    /// A room of 6 x 3 x 7 m with three boxes.
    #[must_use]
    pub fn furnished() -> Self {
        let cuboid = |low: [f64; 3], high: [f64; 3]| Cuboid { low: low.into(), high: high.into() };
        Self {
            walls: cuboid([-3.0, -1.5, -1.0], [3.0, 1.5, 6.0]),
            boxes: vec![
                cuboid([-2.2, 0.3, 3.0], [-1.0, 1.5, 4.2]),
                cuboid([0.6, 0.7, 2.2], [1.6, 1.5, 3.0]),
                cuboid([1.8, -0.6, 4.4], [2.8, 1.5, 5.6]),
            ],
        }
    }

    /// First surface point along `from + z direction`, `z > 0`; its `z`. `None` if the ray leaves from outside and misses.
    #[must_use]
    pub fn trace(&self, from: &Point3<f64>, direction: &Vector3<f64>) -> Option<f64> {
        let (entry, exit) = self.walls.slab(from, direction)?;
        let wall = if entry > 0.0 { entry } else { exit };
        let nearest = |best: f64, cuboid: &Cuboid| match cuboid.slab(from, direction) {
            Some((entry, _)) if entry > 1e-9 => best.min(entry),
            _ => best,
        };
        let z = self.boxes.iter().fold(wall, nearest);
        (z > 0.0 && z.is_finite()).then_some(z)
    }

    /// The colour that says where a surface point is: each coordinate from 0 to 255 across the room.
    #[must_use]
    pub fn colour(&self, point: &Point3<f64>) -> [u8; 3] {
        let extent = self.walls.high - self.walls.low;
        let channel = |i: usize| ((point[i] - self.walls.low[i]) / extent[i] * 255.0).round().clamp(0.0, 255.0) as u8;
        [channel(0), channel(1), channel(2)]
    }

    /// Where the surface point of a colour is.
    #[must_use]
    pub fn point(&self, colour: [u8; 3]) -> Point3<f64> {
        let extent = self.walls.high - self.walls.low;
        let [x, y, z] = colour.map(|c| f64::from(c) / 255.0);
        self.walls.low + Vector3::new(x * extent.x, y * extent.y, z * extent.z)
    }

    /// A photograph in the colours of [`Room::colour`], four by four rays a pixel.
    ///
    /// # Panics
    /// If the camera's size is not valid.
    #[must_use]
    pub fn photograph(&self, camera: &Intrinsics, camera_from_world: &Pose) -> RgbImage {
        self.shoot(camera, camera_from_world, |point| self.colour(point))
    }

    /// A photograph of the same room with papered walls: grey waves and blotches of many sizes, for matching frames.
    ///
    /// # Panics
    /// If the camera's size is not valid.
    #[must_use]
    pub fn photograph_papered(&self, camera: &Intrinsics, camera_from_world: &Pose) -> RgbImage {
        self.shoot(camera, camera_from_world, |point| [paper(point); 3])
    }

    fn shoot(&self, camera: &Intrinsics, camera_from_world: &Pose, paint: impl Fn(&Point3<f64>) -> [u8; 3]) -> RgbImage {
        let world_from_camera = camera_from_world.inverse();
        let centre = Point3::from(world_from_camera.translation.vector);
        let pixel = |i: usize| {
            let (column, row) = (i % camera.size.width as usize, i / camera.size.width as usize);
            let mut sum = [0.0; 3];
            for sub in 0..16 {
                let (u, v) = (column as f64 + f64::from(sub % 4) / 4.0 + 0.125, row as f64 + f64::from(sub / 4) / 4.0 + 0.125);
                let direction = world_from_camera * camera.ray(u, v);
                let z = self.trace(&centre, &direction).unwrap_or(0.0);
                let colour = paint(&(centre + direction * z));
                for (total, channel) in sum.iter_mut().zip(colour) {
                    *total += f64::from(channel) / 16.0;
                }
            }
            sum.map(|c: f64| c.round() as u8)
        };
        RgbImage::new(camera.size, (0..camera.size.area()).map(pixel).collect()).expect("size is valid")
    }

    /// Depth along z at every pixel centre.
    #[must_use]
    pub fn depth(&self, camera: &Intrinsics, camera_from_world: &Pose) -> Vec<f64> {
        let world_from_camera = camera_from_world.inverse();
        let centre = Point3::from(world_from_camera.translation.vector);
        let width = camera.size.width as usize;
        (0..camera.size.area())
            .map(|i| {
                let direction = world_from_camera * camera.ray((i % width) as f64 + 0.5, (i / width) as f64 + 0.5);
                self.trace(&centre, &direction).unwrap_or(0.0)
            })
            .collect()
    }
}

/// Grey level of the paper at a point: sums of waves from 2 m down to 10 cm, in directions that do not repeat.
fn paper(point: &Point3<f64>) -> u8 {
    let mut level = 0.0;
    for octave in 0..10 {
        let k = f64::from(octave);
        let frequency = 3.0 * 1.4_f64.powi(octave);
        let direction = Vector3::new((1.7 * k).sin(), (2.3 * k + 1.0).sin(), (3.1 * k + 2.0).cos());
        level += (frequency * direction.dot(&point.coords) + 4.0 * k).sin() / 1.15_f64.powi(octave);
    }
    (127.5 + 30.0 * level).round().clamp(0.0, 255.0) as u8
}

impl Cuboid {
    /// Where a ray enters and leaves; `None` if it misses.
    fn slab(&self, from: &Point3<f64>, direction: &Vector3<f64>) -> Option<(f64, f64)> {
        let (mut entry, mut exit) = (f64::NEG_INFINITY, f64::INFINITY);
        for axis in 0..3 {
            let (a, b) = ((self.low[axis] - from[axis]) / direction[axis], (self.high[axis] - from[axis]) / direction[axis]);
            if a.is_nan() || b.is_nan() {
                return None;
            }
            entry = entry.max(a.min(b));
            exit = exit.min(a.max(b));
        }
        (entry <= exit && exit > 0.0).then_some((entry, exit))
    }
}
