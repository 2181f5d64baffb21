// Numbers that change from step to step; the host writes them before each one.

const LEARNING_RATE: u32 = 0u;
const STATISTICS_RATE: u32 = 1u;
const CLIP_NORM: u32 = 2u;
const STEP: u32 = 3u;
