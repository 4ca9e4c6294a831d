"""What may be wrong with a dataset, how bad it is, and what to do about it. Pure."""

from __future__ import annotations

from typing import NamedTuple

STOPS, DROPS, CHANGES, NOTES = "stops", "drops", "changes", "notes"
"""How bad: the trainer stops; it leaves something out; it trains on something else than one may think; good to know."""
ORDER = (STOPS, DROPS, CHANGES, NOTES)


class Kind(NamedTuple):
    """A kind of finding."""

    name: str
    weight: str
    """One of ORDER."""
    do: str
    """What is to be done about it."""


UNREADABLE = Kind("picture cannot be read", STOPS, "remove it, or save it anew")
NO_PICTURES = Kind("no pictures to train on", STOPS, "give the folder that the trainer is given")
EMPTY = Kind("caption is empty", NOTES, "it is trained without words; write a caption if that is not meant")
NOT_UTF8 = Kind("caption is not UTF-8", STOPS, "save it as UTF-8")
NO_CAPTION = Kind("picture has no caption", NOTES, "it is trained without words; write a caption if that is not meant")
FOLDERS_WORDS = Kind("picture has its folder's name for a caption", NOTES, "write a caption if that is not meant")
NEVER_READ = Kind("caption is never read", DROPS, "rename it, or tell the trainer the ending of the captions")
MORE_LINES = Kind("caption has several lines", CHANGES, "write it as one line")
TOO_LONG = Kind("caption is cut at 75 tokens", DROPS, "shorten it; what stands last is lost")
SIDE_AND_FLIP = Kind("caption names a side, and pictures are flipped", CHANGES, "turn flipping off")
FLIPPED = Kind(
    "pictures are flipped at random", NOTES, "turn flipping off where the subject is not the same on both sides"
)
SAME_STEM = Kind("pictures share a name", CHANGES, "rename one; they share a caption and a latent cache")
NOT_A_FORMAT = Kind("picture is of a format that is not read", DROPS, "save it as PNG or JPEG")
WRONG_DEPTH = Kind("picture lies in a folder that is not read", DROPS, "move it to where the trainer looks")
UPSCALED = Kind("picture is smaller than what is trained on, and enlarged", CHANGES, "leave it out, or enlarge it well")
MUCH_LOST = Kind("more than a quarter of the picture is cut off", CHANGES, "crop or pad it yourself")
NO_BUCKET = Kind("picture is too narrow for any size", STOPS, "crop or pad it")
TRANSPARENT = Kind("picture is transparent", CHANGES, "lay it on a colour; the trainer drops transparency")
DEEP = Kind("picture has 16 bits a colour", CHANGES, "save it with 8; it turns white or dark otherwise")
LIES_ON_ITS_SIDE = Kind("picture is turned by EXIF, which is ignored", CHANGES, "save it upright")
STALE_CACHE = Kind("latent cache is older than its picture", CHANGES, "delete the cache; the old picture is trained on")
CACHE_ALONE = Kind("latent cache has no picture", NOTES, "delete it")
FEW_FOR_BATCH = Kind("size has too few pictures for a batch", NOTES, "a smaller batch is made of it")
TRAINED_ON = Kind("what is held out for validation is trained on", CHANGES, "give the trainer the folder of what is "
                  "trained on alone, such as DATASET/train")  # fmt: skip
MASK_AS_PICTURE = Kind("mask would be trained on as a picture", CHANGES, "move the masks out of the pictures' folder")


SIDES = frozenset({"left", "right", "leftward", "rightward", "left-handed", "right-handed"})
"""Words that are no longer true in a mirror."""
