"""Read YAML as trees that know their lines, by shapes that report what is wrong."""
