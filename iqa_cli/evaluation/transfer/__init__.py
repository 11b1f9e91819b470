"""iqa datasets compare: would one rated set help training for another?"""
