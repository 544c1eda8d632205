"""Token numbers that mean the same in every vocabulary."""

PAD, BOS, EOS, UNK = range(4)
"""Filling behind the end of a sequence, its beginning, its end, and what the vocabulary does not have."""

SPECIAL_TOKENS = ("<pad>", "<bos>", "<eos>", "<unk>")
"""Their names, in order."""

VISIBLE = str.maketrans(
    {" ": "\N{OPEN BOX}", "\n": "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}", "\t": "\N{RIGHTWARDS ARROW}"}
)
"""Signs that stand for blanks and ends of lines where tokens are shown, for `str.translate`."""

MASK_NAME = "<mask>"
"""What stands for something that is hidden; its number is that behind the last of a vocabulary."""
