"""Scales and mappings in Scala's formats."""

MAJOR = "major\n7\n9/8\n5/4\n4/3\n3/2\n5/3\n15/8\n2/1\n"
WHITE_KEYS = """! white keys from b3, A = 440
! Size of map. The pattern repeats every so many keys:
12
! First MIDI note number to retune:
0
! Last MIDI note number to retune:
127
! Middle note where the first entry of the mapping is mapped to:
59
! Reference note for which frequency is given:
69
! Frequency to tune the above note to
440.0
! Scale degree to consider as formal octave
7
! Mapping.
0
1
x
2
x
3
4
x
5
x
6
x
"""
ALPHA = "! carlos_alpha.scl\n!\nWendy Carlos' Alpha scale\n1\n 77.965\n"
PYTHAGOREAN = """! pyth_12.scl
!
12-tone Pythagorean scale
 12
!
 2187/2048
 9/8
 32/27
 81/64
 4/3
 729/512
 3/2
 6561/4096
 27/16
 16/9
 243/128
 2/1
"""
