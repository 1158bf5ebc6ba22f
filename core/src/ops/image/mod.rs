//! Frames in, pictures of depth out: conversion, resampling, normalisation, back-projection.
//!
//! `frame -> `[`convert`]` -> `[`resize`]` -> `[`normalise`]` -> network -> `[`resize`]` -> `[`backproject`].

pub mod affine;
pub mod backproject;
pub mod convert;
pub mod normalise;
pub mod resize;
pub mod taps;
