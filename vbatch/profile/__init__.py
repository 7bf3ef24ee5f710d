"""A gateway's dialect as data: built-in profiles (``vbatch/profiles``) and a user's own file.

``rules`` and ``problems`` are how a TOML file is checked; a job file is checked the same way.
"""

from vbatch.profile.dialect import ImageDialect, ModelsDialect, Profile, RequestDialect
from vbatch.profile.shelf import (
    builtin_names,
    builtin_profiles,
    is_profile_path,
    load_profile,
)

__all__ = [
    "ImageDialect",
    "ModelsDialect",
    "Profile",
    "RequestDialect",
    "builtin_names",
    "builtin_profiles",
    "is_profile_path",
    "load_profile",
]
