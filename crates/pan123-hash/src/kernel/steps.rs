//! The 64 steps of MD5, as a list that each kernel turns into its own code.

/// Calls `$step!(function, a b c d, word, shift, constant)` for each step of RFC 1321, section 3.4, in order.
///
/// `a b c d` are the places of the four state words in that step, `word` is the index of the message word, and
/// the step itself is `a = b + ((a + function(b, c, d) + message[word] + constant) <<< shift)`.
macro_rules! steps {
    ($step:ident) => {
        $step!(f, 0 1 2 3, 0, 7, 0xd76a_a478u32);
        $step!(f, 3 0 1 2, 1, 12, 0xe8c7_b756u32);
        $step!(f, 2 3 0 1, 2, 17, 0x2420_70dbu32);
        $step!(f, 1 2 3 0, 3, 22, 0xc1bd_ceeeu32);
        $step!(f, 0 1 2 3, 4, 7, 0xf57c_0fafu32);
        $step!(f, 3 0 1 2, 5, 12, 0x4787_c62au32);
        $step!(f, 2 3 0 1, 6, 17, 0xa830_4613u32);
        $step!(f, 1 2 3 0, 7, 22, 0xfd46_9501u32);
        $step!(f, 0 1 2 3, 8, 7, 0x6980_98d8u32);
        $step!(f, 3 0 1 2, 9, 12, 0x8b44_f7afu32);
        $step!(f, 2 3 0 1, 10, 17, 0xffff_5bb1u32);
        $step!(f, 1 2 3 0, 11, 22, 0x895c_d7beu32);
        $step!(f, 0 1 2 3, 12, 7, 0x6b90_1122u32);
        $step!(f, 3 0 1 2, 13, 12, 0xfd98_7193u32);
        $step!(f, 2 3 0 1, 14, 17, 0xa679_438eu32);
        $step!(f, 1 2 3 0, 15, 22, 0x49b4_0821u32);
        $step!(g, 0 1 2 3, 1, 5, 0xf61e_2562u32);
        $step!(g, 3 0 1 2, 6, 9, 0xc040_b340u32);
        $step!(g, 2 3 0 1, 11, 14, 0x265e_5a51u32);
        $step!(g, 1 2 3 0, 0, 20, 0xe9b6_c7aau32);
        $step!(g, 0 1 2 3, 5, 5, 0xd62f_105du32);
        $step!(g, 3 0 1 2, 10, 9, 0x0244_1453u32);
        $step!(g, 2 3 0 1, 15, 14, 0xd8a1_e681u32);
        $step!(g, 1 2 3 0, 4, 20, 0xe7d3_fbc8u32);
        $step!(g, 0 1 2 3, 9, 5, 0x21e1_cde6u32);
        $step!(g, 3 0 1 2, 14, 9, 0xc337_07d6u32);
        $step!(g, 2 3 0 1, 3, 14, 0xf4d5_0d87u32);
        $step!(g, 1 2 3 0, 8, 20, 0x455a_14edu32);
        $step!(g, 0 1 2 3, 13, 5, 0xa9e3_e905u32);
        $step!(g, 3 0 1 2, 2, 9, 0xfcef_a3f8u32);
        $step!(g, 2 3 0 1, 7, 14, 0x676f_02d9u32);
        $step!(g, 1 2 3 0, 12, 20, 0x8d2a_4c8au32);
        $step!(h, 0 1 2 3, 5, 4, 0xfffa_3942u32);
        $step!(h, 3 0 1 2, 8, 11, 0x8771_f681u32);
        $step!(h, 2 3 0 1, 11, 16, 0x6d9d_6122u32);
        $step!(h, 1 2 3 0, 14, 23, 0xfde5_380cu32);
        $step!(h, 0 1 2 3, 1, 4, 0xa4be_ea44u32);
        $step!(h, 3 0 1 2, 4, 11, 0x4bde_cfa9u32);
        $step!(h, 2 3 0 1, 7, 16, 0xf6bb_4b60u32);
        $step!(h, 1 2 3 0, 10, 23, 0xbebf_bc70u32);
        $step!(h, 0 1 2 3, 13, 4, 0x289b_7ec6u32);
        $step!(h, 3 0 1 2, 0, 11, 0xeaa1_27fau32);
        $step!(h, 2 3 0 1, 3, 16, 0xd4ef_3085u32);
        $step!(h, 1 2 3 0, 6, 23, 0x0488_1d05u32);
        $step!(h, 0 1 2 3, 9, 4, 0xd9d4_d039u32);
        $step!(h, 3 0 1 2, 12, 11, 0xe6db_99e5u32);
        $step!(h, 2 3 0 1, 15, 16, 0x1fa2_7cf8u32);
        $step!(h, 1 2 3 0, 2, 23, 0xc4ac_5665u32);
        $step!(i, 0 1 2 3, 0, 6, 0xf429_2244u32);
        $step!(i, 3 0 1 2, 7, 10, 0x432a_ff97u32);
        $step!(i, 2 3 0 1, 14, 15, 0xab94_23a7u32);
        $step!(i, 1 2 3 0, 5, 21, 0xfc93_a039u32);
        $step!(i, 0 1 2 3, 12, 6, 0x655b_59c3u32);
        $step!(i, 3 0 1 2, 3, 10, 0x8f0c_cc92u32);
        $step!(i, 2 3 0 1, 10, 15, 0xffef_f47du32);
        $step!(i, 1 2 3 0, 1, 21, 0x8584_5dd1u32);
        $step!(i, 0 1 2 3, 8, 6, 0x6fa8_7e4fu32);
        $step!(i, 3 0 1 2, 15, 10, 0xfe2c_e6e0u32);
        $step!(i, 2 3 0 1, 6, 15, 0xa301_4314u32);
        $step!(i, 1 2 3 0, 13, 21, 0x4e08_11a1u32);
        $step!(i, 0 1 2 3, 4, 6, 0xf753_7e82u32);
        $step!(i, 3 0 1 2, 11, 10, 0xbd3a_f235u32);
        $step!(i, 2 3 0 1, 2, 15, 0x2ad7_d2bbu32);
        $step!(i, 1 2 3 0, 9, 21, 0xeb86_d391u32);
    };
}
pub(super) use steps;
