"""A desktop for the panel's tests: Qt, CTK and the parts of Slicer that slicer-core leaves out, as small as can be.

What matters is kept: a property is a value that cannot be called (PythonQt's rule), names that a class does not have
raise, ``connect`` answers False to a signal that does not exist and gives a slot no more values than it takes. MRML is
slicer-core's own. Signals, properties and methods are those of Qt 5.15, CTK and Slicer 5.10 that the panel uses.
"""
