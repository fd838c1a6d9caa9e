"""Directory `<kebab>` → distribution `atlas-<kebab>` → import `atlas_<snake>`, and what a package always has."""

from typing import Any

# Names that say nothing about what is in a module, so everything ends up in it.
SHAPELESS = {"common", "utils", "util", "base", "helpers", "helper", "models", "misc", "shared", "core", "tools"}


def test_the_distribution_is_named_for_its_directory(packages: list[Any]) -> None:
    wrong = {
        p.kebab: p.metadata["project"]["name"] for p in packages if p.metadata["project"]["name"] != f"atlas-{p.kebab}"
    }
    assert not wrong


def test_the_import_is_named_for_its_directory_and_is_the_only_one(packages: list[Any]) -> None:
    wrong = []
    for package in packages:
        found = sorted(path.name for path in package.directory.iterdir() if (path / "__init__.py").exists())
        built = package.metadata["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
        if found != [package.source.name] or built != found:
            wrong.append(f"{package.kebab}: has {found}, builds {built}, should be {package.source.name}")
    assert not wrong, "\n".join(wrong)


def test_every_package_is_typed(packages: list[Any]) -> None:
    assert not [package.kebab for package in packages if not (package.source / "py.typed").is_file()]


def test_every_package_says_what_it_is(packages: list[Any]) -> None:
    for package in packages:
        assert package.metadata["project"]["description"], package.kebab
        assert package.metadata["project"]["requires-python"] == ">=3.11", package.kebab
        assert package.is_context or package.metadata["project"]["license"] == "Apache-2.0", package.kebab


def test_no_two_packages_have_one_name(packages: list[Any]) -> None:
    names = [package.kebab for package in packages]
    assert len(set(names)) == len(names), names


def test_no_module_is_named_for_nothing(modules: list[Any]) -> None:
    wrong = [module.where for module in modules if SHAPELESS & set(module.parts)]
    assert not wrong, "\n".join(wrong)


def test_every_package_of_modules_can_be_imported_as_one(packages: list[Any]) -> None:
    """A folder without `__init__` is a namespace: two distributions could share it by accident."""
    wrong = [
        str(folder)
        for package in packages
        for folder in {module.path.parent for module in package.modules}
        if not (folder / "__init__.py").exists()
    ]
    assert not wrong, "\n".join(wrong)
